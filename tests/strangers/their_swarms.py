"""Scrapes (BEP 33) and samples (BEP 51): ours as libtorrent's, and each asked by the other."""

import collections
import hashlib
import math
import time

import libtorrent as lt

from kit import check, they_ask, tinybt, wait, we_ask
from network import Node, alerts, ask, sessions_of, text

SEED = 1


def infohash(*parts):
    return hashlib.sha1(" ".join(map(str, parts)).encode()).digest()


def estimate(bits):
    """How many are in a filter of 2,048 bits and two hashes."""
    size = 8 * len(bits)
    zeros = min(size - 1, size - sum(byte.bit_count() for byte in bits))
    return math.log(zeros / size) / (2 * math.log(1 - 1 / size))


def announce(addr, info_hash, source, port, seed):
    token = ask(addr, "get_peers", source, info_hash=info_hash)[b"token"]
    return ask(addr, "announce_peer", source, info_hash=info_hash, implied_port=0, port=port,
               seed=seed, token=token)


def scrape(info_hash, addr):
    return tinybt("scrape", "--dht", info_hash.hex(), "--read-only", "--bind", "127.0.0.1:0",
                  "--bootstrap", text(addr), "--json", seconds=90)


def filters(label, node, theirs):
    """The same peers at our node and at one of libtorrent's make the same filters."""
    info_hash = infohash(label, "filters")
    peers = [(f"127.0.{2 + n // 200}.{1 + n % 200}", int(n < 150)) for n in range(250)]
    for addr in (node.addr, theirs):
        for host, seed in peers:
            announce(addr, info_hash, host, 4_000, seed)
    ours, other = (ask(addr, "get_peers", info_hash=info_hash, scrape=1)
                   for addr in (node.addr, theirs))
    for name, key, true in (("seeds", b"BFsd", 150), ("downloaders", b"BFpe", 100)):
        bits = ours.get(key, b"")
        check(f"{label}: the filter of {name} is that of libtorrent, bit by bit",
              len(bits) == 256 and bits == other.get(key), other)
        count = estimate(bits or b"\0" * 256)
        check(f"{label}: it tells {count:.0f} of {true} {name}", abs(count - true) < true / 5)
    check(f"{label}: nobody asked for it, nobody is told",
          not {b"BFsd", b"BFpe"} & set(ask(node.addr, "get_peers", info_hash=info_hash)))
    check(f"{label}: a peer may get both peers and filters", ours.get(b"values"), ours)

    # A seed may go back to being a downloader, and the other way round.
    one = infohash(label, "one")
    for port, seed, more in ((5_001, 1, 0), (5_002, 0, 0), (5_003, 0, 1)):
        announce(node.addr, one, "127.0.7.1", port, seed)
    lacking = {value[-2:] for value in ask(node.addr, "get_peers", info_hash=one, noseed=1)[b"values"]}
    check(f"{label}: with noseed seeds are left out",
          lacking == {port.to_bytes(2, "big") for port in (5_002, 5_003)}, lacking)
    announce(node.addr, one, "127.0.7.1", 5_002, 1)
    lacking = {value[-2:] for value in ask(node.addr, "get_peers", info_hash=one, noseed=1)[b"values"]}
    check(f"{label}: a downloader becomes a seed", lacking == {(5_003).to_bytes(2, "big")}, lacking)
    empty = ask(node.addr, "get_peers", info_hash=infohash(label, "nobody"), scrape=1)
    check(f"{label}: of an unknown swarm no filter tells anybody",
          all(not any(empty.get(key, b"")) for key in (b"BFsd", b"BFpe")), empty)

    for who, addr in (("our node", node.addr), ("libtorrent", theirs)):
        done = scrape(info_hash, addr)
        line = done.objects[-1]
        check(f"{label}: tinybt scrapes {who} ({line['seeds']}, {line['downloaders']})",
              done.code == 0 and line["filters"] >= 1
              and abs(line["seeds"] - 150) < 30 and abs(line["downloaders"] - 100) < 20, line)


def scraped(label, sessions, addrs):
    """Three seeds and five downloaders, each announced by libtorrent itself."""
    info_hash = infohash(label, "announced")
    for n, s in enumerate(sessions):
        s.dht_announce(lt.sha1_hash(info_hash), 7_000 + n, SEED if n < 3 else 0)

    def counts():
        done = scrape(info_hash, addrs[0])
        line = done.objects[-1] if done.objects else {}
        near = abs(line.get("seeds", 0) - 3) < 1 and abs(line.get("downloaders", 0) - 5) < 1
        return done.code == 0 and near and line

    line = wait(f"{label}: 3 seeds and 5 downloaders of libtorrent", counts, 60)
    check(f"{label}: tinybt scrape --dht counts {line['seeds']} seeds and {line['downloaders']} "
          f"downloaders, by {line['filters']} nodes", line["filters"] >= 4, line,
          we_ask("libtorrent", "BEP 33"))
    done = scrape(b"8" * 20, addrs[0])
    check(f"{label}: of an unknown swarm it counts nobody", done.code == 1, done)


def samples(label, node, sessions, addrs):
    """Swarms announced at our node, and libtorrent that asks for a sample of them."""
    hashes = {infohash(label, "sampled", n) for n in range(40)}
    for n, info_hash in enumerate(sorted(hashes)):
        announce(node.addr, info_hash, f"127.0.3.{1 + n}", 4_000, 0)
    ours_id = bytes.fromhex(node.latest()["id"])
    sessions[2].dht_sample_infohashes(node.addr, lt.sha1_hash(ours_id))
    told = next((alert for alert in alerts(sessions[2], lt.dht_sample_infohashes_alert)), None)
    check(f"{label}: libtorrent gets a sample of our node", told and told.num_samples >= 20,
          shows=they_ask("libtorrent", "BEP 51"))
    seen = {sample.to_bytes() for sample in told.samples}
    check(f"{label}: it is told how many there are ({told.num_infohashes}), and none that is not",
          told.num_infohashes >= 40 and len(seen & hashes) >= 15)
    interval = told.interval
    seconds = getattr(interval, "total_seconds", lambda: interval)()
    check(f"{label}: an interval of BEP 51 ({seconds:.0f} s) and nodes ({told.num_nodes})",
          0 <= seconds <= 21_600 and told.num_nodes >= 1)
    reply = ask(node.addr, "sample_infohashes", target=b"t" * 20)
    check(f"{label}: a reply of samples is as it must be", len(reply[b"samples"]) % 20 == 0
          and reply[b"samples"] and len(reply[b"nodes"]) % 26 == 0 and reply[b"num"] >= 40, reply)
    check(f"{label}: a sample without a target is error 203",
          ask(node.addr, "sample_infohashes") == 203)


def crawled(label, sessions, addrs):
    """What libtorrent nodes announced is found in their samples."""
    hashes = {infohash(label, "crawled", n) for n in range(24)}
    kept = collections.defaultdict(set)

    def are_kept():
        for addr in addrs:
            samples = ask(addr, "sample_infohashes", target=b"t" * 20)[b"samples"]
            for at in range(0, len(samples), 20):
                kept[samples[at:at + 20]].add(addr)
        return all(len(kept[info_hash]) >= 4 for info_hash in hashes)

    def announced():
        # It waits 15 s for a node that has gone before it announces.
        for n, info_hash in enumerate(hashes):
            sessions[n % 8].dht_announce(lt.sha1_hash(info_hash), 6_000 + n, 0)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if are_kept():
                return True
            time.sleep(0.2)
        return False

    wait(f"{label}: libtorrent announces 24 swarms", announced, 100)
    entry = text(addrs[0])
    done = tinybt("sample", entry, "--json")
    found = hashes_of(done)
    number = done.objects[0]["num"]
    check(f"{label}: tinybt samples a libtorrent node: {len(found)} of {number}",
          done.code == 0 and len(found) == min(20, number) and len(found & hashes) >= 4, done,
          we_ask("libtorrent", "BEP 51"))
    done = tinybt("crawl", "--bootstrap", entry, "--bind", "127.0.0.1:0", "--json", "--rounds", "1",
                  "--timeout", "60", seconds=90)
    found = hashes_of(done)
    summary = next((line["summary"] for line in done.objects if "summary" in line), {})
    check(f"{label}: tinybt crawls 8 libtorrent nodes: {len(found & hashes)} of 24 swarms, "
          f"{summary.get('asked')} asked, {summary.get('round')} rounds",
          done.code == 0 and hashes <= found, (done.code, summary))
    done = tinybt("sample", text(("127.0.0.9", 9)), "--json")
    check(f"{label}: from nobody comes no sample", done.code in (1, 3), done)


def crawled_again(label):
    """A libtorrent node tells 20 swarms at once; the next round asks for the rest."""
    sessions, addrs = sessions_of(label, [f"127.0.0.{41 + n}:6881" for n in range(2)])
    hashes = {infohash(label, n) for n in range(60)}
    for info_hash in hashes:
        announce(addrs[0], info_hash, "127.0.0.40", 4_000, 0)
    done = tinybt("crawl", "--bootstrap", text(addrs[1]), "--bind", "127.0.0.1:0", "--json",
                  "--rounds", "2", "--timeout", "120", seconds=150)
    rounds = [line["round"]["hashes"] for line in done.objects
              if isinstance(line.get("round"), dict)]
    check(f"{label}: the second round finds more ({rounds})", done.code == 0 and len(rounds) == 2
          and rounds[0] == 20 < rounds[1] and hashes_of(done) <= hashes, done.objects[-1:])
    for s in sessions:
        s.stop_dht()


def hashes_of(done):
    found = (line.get("info_hash") for line in done.objects)
    return {bytes.fromhex(one) for one in found if one}


def swarms(label):
    sessions, addrs = sessions_of(label, [f"127.0.0.{31 + n}:6881" for n in range(8)])
    node = Node("127.0.0.110:6999", ",".join(text(addr) for addr in addrs[:3]))
    wait(f"{label}: our node knows libtorrent's",
         lambda: node.latest().get("nodes", {}).get("good", 0) >= 4)
    scraped(label, sessions, addrs)
    filters(label, node, addrs[7])
    samples(label, node, sessions, addrs)
    crawled(label, sessions, addrs)
    check(f"{label}: our node ends well", node.stop() < 1)
    for s in sessions:
        s.stop_dht()
