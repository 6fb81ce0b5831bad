"""Strangers: libtorrent nodes and `tinybt` find, are found by, announce to and answer each other.

Usage: run.py TINYBT. Needs the PyPI package `libtorrent` and a loopback; speaks to nobody else.
Every wait is for a condition and ends at a deadline; every process is ended by its process id.
"""

import json
import os
import subprocess
import sys
import time

import libtorrent as lt

from kit import PROCESSES, RESULTS, TINYBT, check, they_ask, wait, we_ask
from network import Node, raw, session, sessions_of, text


def tinybt(*args, seconds=60):
    """Runs the program to its end; returns its exit code and its lines."""
    done = subprocess.run([TINYBT, *args], capture_output=True, text=True, timeout=seconds)
    if done.returncode not in (0, 1):
        print(done.stderr, file=sys.stderr)
    return done.returncode, done.stdout.splitlines()


LT = "libtorrent"


def family(label, host, ours, bits):
    """All of it over one address family. `host(n)` is the n-th address of a libtorrent node."""
    sessions, addrs = sessions_of(label, [host(n) for n in range(8)])
    entry = text(addrs[0])

    code, lines = tinybt("ping", entry, "--json")
    pong = json.loads(lines[0])
    check(f"{label}: libtorrent answers our ping", code == 0 and pong["version"].startswith("LT"),
          shows=we_ask(LT, "ping"))
    check(f"{label}: and tells our address", pong["external"], shows=we_ask(LT, "BEP 42"))
    code, lines = tinybt("find-node", "33" * 20, "--read-only", "--bootstrap", entry, "--json")
    check(f"{label}: libtorrent tells us nodes", code == 0 and len(lines) >= 4, lines,
          we_ask(LT, "find_node", *(["want/nodes6"] if bits == 6 else [])))

    # They announce, we find.
    info_hash = bytes([0x11, bits] * 10)
    sessions[3].dht_announce(lt.sha1_hash(info_hash), 7_331, 0)
    peer = f"peer {text((addrs[3][0], 7_331))}"
    found = wait(f"{label}: tinybt finds libtorrent's peer", lambda: peer in tinybt(
        "peers", info_hash.hex(), "--read-only", "--bootstrap", entry, "--plain")[1])
    check(f"{label}: a peer announced by libtorrent is found by tinybt", found,
          shows=we_ask(LT, "get_peers"))

    # We announce, they find.
    ours_hash = bytes([0x22, bits] * 10)
    code, lines = tinybt("announce", ours_hash.hex(), "--once", "--port", "4242", "--read-only", "--bootstrap",
                         entry, "--json")
    stored = json.loads(lines[-1])["stored"]
    check(f"{label}: libtorrent stores our announce ({stored} nodes)", code == 0 and stored >= 4,
          shows=we_ask(LT, "announce_peer"))

    def libtorrent_finds(s, wanted, port):
        s.pop_alerts()
        s.dht_get_peers(lt.sha1_hash(wanted))
        end = time.monotonic() + 5
        while time.monotonic() < end:
            for alert in s.pop_alerts():
                if isinstance(alert, lt.dht_get_peers_reply_alert):
                    if any(peer[1] == port for peer in alert.peers()):
                        return True
            time.sleep(0.05)
        return False

    check(f"{label}: a peer announced by tinybt is found by libtorrent",
          wait("found", lambda: libtorrent_finds(sessions[6], ours_hash, 4_242)))

    # A node of ours among them: it gets to know them, and they it.
    node = Node(ours, ",".join(text(addr) for addr in addrs[:3]))
    check(f"{label}: a tinybt node gets to know libtorrent nodes",
          wait("known", lambda: node.latest().get("nodes", {}).get("good", 0) >= 4))
    ours_addr = node.addr
    for s in sessions:
        s.add_dht_node(ours_addr)
    check(f"{label}: libtorrent asks it",
          wait("asked", lambda: sum(node.latest().get("queries", {"": 0}).values()) >= 5))
    alone(label, host(8), node, bits)
    # Next to our id: of nine nodes eight are announced to, and libtorrent counts itself among them.
    third = bytes.fromhex(node.latest()["id"])[:-1] + bytes([bits])

    def stored_with_us():
        for s in sessions:
            s.dht_announce(lt.sha1_hash(third), 5_555, 0)
        # It waits 15 s for a node that has gone before it announces.
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if node.latest().get("stored", {}).get("peers", 0) >= 1:
                return True
            time.sleep(0.05)
        return False

    check(f"{label}: libtorrent announces to it, with its token",
          wait("stored", stored_with_us, 65, node.latest),
          shows=they_ask(LT, "get_peers", "announce_peer"))
    reply = raw(ours_addr, b"d1:ad2:id20:" + b"s" * 20 + b"9:info_hash20:" + third
                + b"e1:q9:get_peers2:roi1e1:t2:zz1:y1:qe")
    values = reply[b"r"].get(b"values", [])
    check(f"{label}: and it hands the peer out",
          any(value[-2:] == (5_555).to_bytes(2, "big") for value in values))
    code, lines = tinybt("find-node", "22" * 20, "--bootstrap", text(ours_addr), "--json")
    check(f"{label}: libtorrent nodes are found through it", code == 0 and len(lines) >= 4)
    questions(label, ours_addr)
    took = node.stop()
    check(f"{label}: Ctrl-C ends it within a second ({took:.2f} s)", took < 1)
    for s in sessions:
        s.pause()


def alone(label, host, node, bits):
    """Whoever knows ours alone gets to know the others through it."""
    lone = session(host)
    wait("listening", lone.listen_port)
    lone.add_dht_node(node.addr)
    check(f"{label}: libtorrent gets to know libtorrent nodes through ours",
          wait("known", lambda: lone.status().dht_nodes >= 3),
          shows=they_ask(LT, "find_node", *(["want/nodes6"] if bits == 6 else [])))
    lone.stop_dht()


def questions(label, addr):
    """What strangers may ask in whatever way."""
    me = b"s" * 20
    target = b"t" * 20

    def query(args, method=b"find_node", t=b"aa"):
        return (b"d1:ad2:id20:" + me + args + b"e1:q%d:%s1:t%d:%s1:y1:qe"
                % (len(method), method, len(t), t))

    def code(datagram):
        return raw(addr, datagram).get(b"e", [0])[0]

    find = b"6:target20:" + target
    for t in (b"", b"x", b"four", b"y" * 20, b"z" * 32):
        answer = raw(addr, query(find, t=t))
        check(f"{label}: a transaction of {len(t)} bytes comes back", answer[b"t"] == t)
    check(f"{label}: a short target is error 203", code(query(b"6:target3:abc")) == 203)
    check(f"{label}: no target is error 203", code(query(b"")) == 203)
    short = b"d1:ad2:id3:abce1:q4:ping1:t2:aa1:y1:qe"
    check(f"{label}: a short id is error 203", code(short) == 203)
    check(f"{label}: a foreign method is error 204", code(query(b"", b"vote")) == 204)
    answer = raw(addr, query(find, b"vote"))
    check(f"{label}: with a target it is led there", b"r" in answer and answer[b"y"] == b"r")
    announce = b"9:info_hash20:" + target + b"4:porti%de5:token8:12345678"
    check(f"{label}: a wrong token is error 203",
          code(query(announce % 7, b"announce_peer")) == 203)
    for port in (0, -1, 70_000):
        check(f"{label}: port {port} is error 203",
              code(query(announce % port, b"announce_peer")) == 203)
    unsorted = (b"d1:y1:q1:t2:aa1:q4:ping1:ad2:id20:" + me + b"ee")
    check(f"{label}: unsorted keys are understood", raw(addr, unsorted)[b"y"] == b"r")
    trailing = query(find) + b"\0\0"
    check(f"{label}: trailing bytes are passed over", raw(addr, trailing)[b"y"] == b"r")
    answer = raw(addr, query(find))
    check(f"{label}: every answer tells the asker's address", len(answer[b"ip"]) in (6, 18))


def main():
    try:
        family("ipv4", lambda n: f"127.0.0.{11 + n}:6881", "127.0.0.100:6999", 4)
        family("ipv6", lambda n: f"[::1]:{6841 + n}", "[::1]:6999", 6)
    finally:
        for process in PROCESSES:
            if process.poll() is None:
                process.kill()
                process.wait()
    passed = sum(truth for _, truth in RESULTS)
    print(f"{passed} passed, {len(RESULTS) - passed} failed")
    return 0 if passed == len(RESULTS) else 1


if __name__ == "__main__":
    try:
        code = main()
    except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
        print(f"FAIL {error}", file=sys.stderr)
        code = 1
    sys.stdout.flush()
    # libtorrent takes its time to say goodbye; nothing is left to wait for.
    os._exit(code)
