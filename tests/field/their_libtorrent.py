"""libtorrent as a server or as a searcher: the same words and lines as the Rust programs.

Usage: their_libtorrent.py serve ADDR BOOTSTRAP,… | search ADDR BOOTSTRAP,… TARGET PEERS
"""

import hashlib
import json
import os
import sys
import threading
import time

import libtorrent as lt


def session(addr, bootstrap):
    return lt.session({
        "listen_interfaces": addr,
        "dht_bootstrap_nodes": bootstrap,
        "enable_dht": True,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "dht_restrict_routing_ips": False,
        "dht_restrict_search_ips": False,
        "dht_prefer_verified_node_ids": False,
        "dht_ignore_dark_internet": False,
        # Else it cuts a source off after 49 questions, and itself after 216 answers.
        "dht_block_ratelimit": 1_000_000,
        "dht_upload_rate_limit": 2_000_000_000,
        "alert_mask": lt.alert.category_t.dht_operation_notification
        | lt.alert.category_t.stats_notification,
    })


def tell(**line):
    print(json.dumps(line), flush=True)


def serve(addr, bootstrap):
    s = session(addr, bootstrap)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    for n in range(16):
        ended.wait(0.3)
        s.dht_get_peers(lt.sha1_hash(hashlib.sha1(b"%d" % n).digest()))
    told = None
    while not ended.wait(0.5):
        nodes = s.status().dht_nodes
        if nodes != told:
            tell(nodes=nodes)
            told = nodes


def search(addr, bootstrap, target, peers):
    """From when its DHT runs: it is asked at once, before it has a table."""
    target, peers = bytes.fromhex(target), int(peers)
    tell(ready=True)
    sys.stdin.readline()
    s = session(addr, bootstrap)
    while not s.is_dht_running() or not s.listen_port():
        time.sleep(0.001)
    begun = time.monotonic()
    elapsed = lambda: (time.monotonic() - begun) * 1e3
    s.dht_get_peers(lt.sha1_hash(target))
    known, first, most, busy, asked = set(), None, None, 0, False
    while elapsed() < 60_000:
        for alert in s.pop_alerts():
            if isinstance(alert, lt.dht_get_peers_reply_alert):
                known.update(tuple(peer) for peer in alert.peers())
                now = elapsed()
                first = first or (now if known else None)
                most = most or (now if 10 * len(known) >= 9 * peers else None)
            elif isinstance(alert, lt.dht_stats_alert):
                asked = True
                if any(one["type"] == "get_peers" for one in alert.active_requests):
                    busy = elapsed()
        s.post_dht_stats()
        if asked and elapsed() - busy > 2_000:
            break
        time.sleep(0.01)
    tell(first=first, most=most, done=busy, peers=len(known))
    sys.stdin.read()


if __name__ == "__main__":
    {"serve": serve, "search": search}[sys.argv[1]](*sys.argv[2:])
    # It takes its time to say goodbye.
    os._exit(0)
