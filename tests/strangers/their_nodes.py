"""Nodes of bittorrent-dht, mainline, librqbit-dht and aria2: each asks ours, and is asked."""

import os
import random
import subprocess

import libtorrent as lt

from ed25519 import Key
from kit import Running, check, free_port, say, they_ask, tinybt, wait, we_ask
from network import Node, ask, bencode, session, split, text
from their_clients import Libtorrent, Torrent
from their_items import sha1

NOBODY = "127.0.0.1:9"


class Obedient(Running):
    """A node that answers each line of its input with a line of JSON."""

    def __init__(self, addr, *command):
        super().__init__(*command, stdin=subprocess.PIPE)
        self.addr, self.text_addr = split(addr), addr
        self.answered = 0
        wait(f"a node at {addr}", self.more, 20)

    def more(self):
        if len(self.lines()) <= self.answered:
            return None
        self.answered += 1
        return self.objects[self.answered - 1]

    def tell(self, *words):
        line = " ".join(str(word) for word in words)
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()
        return wait(line, self.more, 30)


def near(node_id):
    """An info-hash that nobody is closer to than the node: some keep no other."""
    return node_id[:-1] + bytes([node_id[-1] ^ random.randrange(1, 256)])


def announce_raw(addr, info_hash, source, port):
    with_token = ask(addr, "get_peers", source, info_hash=info_hash)[b"token"]
    return ask(addr, "announce_peer", source, info_hash=info_hash, implied_port=0, port=port,
               token=with_token)


def has(addr, info_hash, port):
    values = ask(addr, "get_peers", info_hash=info_hash).get(b"values", [])
    return any(value[-2:] == port.to_bytes(2, "big") for value in values)


def ports(line):
    return {int(peer.rsplit(":", 1)[1]) for peer in line.get("peers", [])}


def asked(label, peer, node):
    """What our node has been asked by them, of what needs no more than an answer. Nobody else may
    know the node."""
    queries = node.latest()["queries"]
    for method in ("ping", "find_node"):
        if queries[method] > 0:
            check(f"{label}: {peer} asks our node {method} ({queries[method]})", True,
                  shows=they_ask(peer, method))


def met(label, peer, net, command):
    """Three of theirs begin at one of ours; then ours are gone, and theirs are asked. The last of
    them is told of all the others: some keep nobody in their tables whom nobody has told them of."""
    host = lambda n: f"127.0.{net}.{n}"
    first = Node(f"{host(1)}:6999", NOBODY)
    second = Node(f"{host(2)}:6999", text(first.addr))
    wait(f"{label}: our nodes know each other",
         lambda: first.latest().get("nodes", {}).get("good", 0) >= 1)
    theirs = [Obedient(f"{host(n)}:6881", *command(f"{host(n)}:6881", text(first.addr)))
              for n in (11, 12, 13)]
    last = theirs[-1]

    # They ask.
    wait(f"{label}: the last knows others through ours",
         lambda: last.tell("nodes")["nodes"] >= 3, 40, lambda: last.objects)
    check(f"{label}: the last gets to know the others through our node", True,
          shows=they_ask(peer, "find_node"))
    own = bytes.fromhex(first.latest()["id"])
    swarm = near(own)
    wait(f"{label}: it announces at our node",
         lambda: not last.tell("announce", swarm.hex(), 5_555).get("error")
         and has(first.addr, swarm, 5_555), 40, lambda: last.objects)
    check(f"{label}: {peer} announces at our node, with its token", True,
          shows=they_ask(peer, "announce_peer"))
    swarm = near(own)
    announce_raw(first.addr, swarm, host(99), 4_321)
    wait(f"{label}: it finds a peer at our node",
         lambda: 4_321 in ports(last.tell("peers", swarm.hex())), 40)
    check(f"{label}: {peer} finds a peer that our node alone knows", True,
          shows=they_ask(peer, "get_peers"))
    # One that nobody else knows.
    alone = Node(f"{host(3)}:6999", NOBODY)
    wait(f"{label}: our node runs", alone.latest)
    if not last.tell("ping", text(alone.addr)).get("error"):
        wait(f"{label}: it pings our node", lambda: alone.latest()["queries"]["ping"] > 0)
        asked(label, peer, alone)
    alone.stop()
    check(f"{label}: our nodes end well", first.stop() < 1 and second.stop() < 1)

    # We ask.
    asked_by_us(label, peer, last.text_addr)
    stored_by_them(label, peer, last.addr, ",".join(node.text_addr for node in theirs))
    for node in theirs:
        node.end()


def asked_by_us(label, peer, addr):
    done = tinybt("ping", addr, "--json")
    pong = done.objects[0] if done.objects else {}
    check(f"{label}: {peer} answers our ping", done.code == 0, done, we_ask(peer, "ping"))
    if pong.get("external"):
        check(f"{label}: and tells our address", True, shows=we_ask(peer, "BEP 42"))
    done = tinybt("find-node", "22" * 20, "--at", addr, "--json")
    check(f"{label}: {peer} tells us nodes", done.code == 0 and done.objects, done,
          we_ask(peer, "find_node"))
    done = tinybt("sample", addr, "--json")
    error = str((done.objects or [{}])[0].get("error"))
    if "20" in error:
        check(f"{label}: {peer} refuses a sample with a number ({error})", True,
              shows=we_ask(peer, "errors"))
    else:
        say(f"     {label}: asked for a sample it says: {error}")


def stored_by_them(label, peer, addr, bootstrap):
    own = ask(addr, "ping")[b"id"]
    swarm = near(own)
    at = ["--read-only", "--bind", f"{addr[0].rsplit('.', 1)[0]}.98:0", "--bootstrap", bootstrap]
    done = tinybt("announce", swarm.hex(), "--once", "--port", "4242", *at, "--json")
    line = done.objects[-1] if done.objects else {}
    check(f"{label}: {peer} stores our announce ({line.get('stored')} nodes)",
          done.code == 0 and has(addr, swarm, 4_242), done, we_ask(peer, "announce_peer"))
    done = tinybt("peers", swarm.hex(), *at, "--json")
    check(f"{label}: tinybt finds a peer at {peer}", 4_242 in done.ports, done,
          we_ask(peer, "get_peers"))


# Items of bittorrent-dht.


def items(label, peer, net, command):
    host = lambda n: f"127.0.{net}.{n}"
    node = Node(f"{host(1)}:6999", NOBODY)
    wait(f"{label}: our node runs", node.latest)
    start = lambda n: Obedient(
        f"{host(n)}:6881", *command(f"{host(n)}:6881", text(node.addr)))
    key = Key(os.urandom(32))
    target = sha1(key.public)

    putting = start(11)
    line = putting.tell("put", "a-stranger's")
    known = ask(node.addr, "get", target=bytes.fromhex(line.get("target") or "0" * 40))
    check(f"{label}: {peer} puts an immutable item at our node", known.get(b"v") == b"a-stranger's",
          (line, known))
    signed = putting.tell("put", "signed", key.seed.hex(), "", 3)
    known = ask(node.addr, "get", target=target)
    check(f"{label}: and one that is signed", known.get(b"v") == b"signed", (signed, known))
    putting.end()
    getting = start(12)
    found = getting.tell("get", line["target"])
    check(f"{label}: another gets it from our node", found.get("value") == "a-stranger's", found,
          they_ask(peer, "BEP 44 immutable"))
    found = getting.tell("get", target.hex())
    check(f"{label}: and the one that is signed", (found.get("value"), found.get("seq")) ==
          ("signed", 3), found, they_ask(peer, "BEP 44 mutable"))
    check(f"{label}: our node ends well", node.stop() < 1)

    at = ["--read-only", "--bind", f"{host(98)}:0", "--bootstrap", getting.text_addr, "--json"]
    put = tinybt("put", "ours", *at)
    line = put.objects[-1] if put.objects else {}
    got = tinybt("get", line.get("target") or "0" * 40, *at)
    check(f"{label}: tinybt gets from {peer} what it has put there", got.code == 0
          and got.objects[0]["value"] == "ours", (put, got), we_ask(peer, "BEP 44 immutable"))
    signature = key.sign(b"3:seqi4e1:v" + bencode(b"four"))
    token = ask(getting.addr, "get", target=target)[b"token"]
    ask(getting.addr, "put", k=key.public, seq=4, sig=signature, target=target, token=token, v=b"four")
    got = tinybt("get", key.public.hex(), *at)
    check(f"{label}: and what is signed", got.code == 0 and got.objects[0]["value"] == "four", got,
          we_ask(peer, "BEP 44 mutable"))
    getting.end()


# Downloads whose peers are known to our node alone.


def download(label, peer, scratch, net, start):
    """`start` gives what runs, and its node's address if it can be asked."""
    host = lambda n: f"127.0.{net}.{n}"
    node = Node(f"{host(1)}:6999", NOBODY)
    wait(f"{label}: our node runs", node.latest)
    torrent = Torrent(scratch, label.replace(" ", "-"), "http://127.0.0.1:9/announce")
    port = free_port(host(21))
    seed = Libtorrent(host(21), port, torrent, "seed", True)
    info_hash = bytes.fromhex(torrent.info_hash)
    announce_raw(node.addr, info_hash, host(21), port)
    directory = torrent.directory("downloader")
    running, addr = start(torrent, directory, host(31), node.addr)
    if peer != "rtorrent":
        # It gets no piece of libtorrent here; by then the part of the DHT is done.
        wait(f"{label}: it is downloaded", lambda: torrent.is_whole_in(directory), 60,
             lambda: node.latest().get("queries"))
        check(f"{label}: {peer} downloads from a peer that our node has told it of", True,
              shows=they_ask(peer, "download through us", "get_peers"))
    if not addr:
        asked(label, peer, node)
    else:
        wait(f"{label}: it announces itself", lambda: node.latest()["queries"]["announce_peer"] > 1,
             30, lambda: node.latest()["queries"])
        check(f"{label}: {peer} announces itself at our node, with its token", True,
              shows=they_ask(peer, "get_peers", "announce_peer"))
        # Before ours get to know the node through theirs, and ask it too.
        asked(label, peer, node)
        asked_by_us(label, peer, addr)
        if peer != "rtorrent":
            # That one keeps ports with their bytes swapped.
            stored_by_them(label, peer, split(addr), addr)
        running.end()
    seed.leave()
    check(f"{label}: our node ends well", node.stop() < 1)


def libtorrent(torrent, directory, host, ours):
    s = session(f"{host}:6881", allow_multiple_connections_per_ip=True, enable_outgoing_utp=False)
    wait("listening", s.listen_port)
    s.add_dht_node(ours)
    params = lt.load_torrent_buffer(torrent.bytes)
    params.save_path = str(directory)
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    s.add_torrent(params)
    return s, None


def aria2(torrent, directory, host, ours):
    port = free_port(host)
    running = Running(
        "aria2c", "--no-conf=true", "--enable-dht=true", "--enable-dht6=false",
        f"--dht-file-path={directory / 'dht'}", f"--dht-entry-point={text(ours)}",
        f"--dht-listen-port={port}", "--bt-enable-lpd=false", "--disable-ipv6=true",
        f"--interface={host}", f"--listen-port={free_port(host)}", f"--dir={directory}",
        "--seed-ratio=0.0", "--file-allocation=none", "--quiet=true", torrent.path)
    return running, f"{host}:{port}"


def rtorrent(torrent, directory, host, ours):
    port, listening, rc = free_port(host), free_port(host), directory / "rc"
    (directory / "session").mkdir()
    rc.write_text(f"""
system.daemon.set = true
session.path.set = {directory / "session"}
directory.default.set = {directory}
network.bind_address.set = {host}
network.port_range.set = {listening}-{listening}
trackers.use_udp.set = no
protocol.pex.set = no
dht.mode.set = on
dht.port.set = {port}
load.start = {torrent.path}
schedule2 = known, 1, 5, ((dht.add_node, "{text(ours)}"))
""")
    return Running("rtorrent", "-n", "-o", f"import={rc}"), f"{host}:{port}"
