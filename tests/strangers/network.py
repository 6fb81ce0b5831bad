"""Nodes of the DHT: libtorrent's, ours, and a querier of a few lines that is neither."""

import json
import os
import random
import signal
import socket
import subprocess
import time

import libtorrent as lt

from kit import PROCESSES, TINYBT, at, family_of, wait


def session(addr, **settings):
    """A libtorrent node at an address, such as `127.0.0.11:6881` or `[::1]:6841`."""
    return lt.session({
        "listen_interfaces": addr,
        "dht_bootstrap_nodes": "",
        "enable_dht": True,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "dht_restrict_routing_ips": False,
        "dht_restrict_search_ips": False,
        "dht_prefer_verified_node_ids": False,
        "dht_ignore_dark_internet": False,
        "dht_block_ratelimit": 1_000_000,
        "dht_upload_rate_limit": 2_000_000_000,
        "dht_sample_infohashes_interval": 1,
        "alert_mask": lt.alert.category_t.dht_notification
        | lt.alert.category_t.dht_operation_notification,
    } | settings)


def split(text):
    """`host:port` as Python has it."""
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)


def sessions_of(label, hosts):
    """libtorrent nodes that know each other, and their addresses."""
    sessions = [session(host) for host in hosts]
    ports = [wait("listening", lambda s=s: s.listen_port()) for s in sessions]
    addrs = [(split(host)[0], port) for host, port in zip(hosts, ports)]
    for n, s in enumerate(sessions):
        for other in addrs[:n]:
            s.add_dht_node(other)
    wait(f"{label}: libtorrent nodes know each other",
         lambda: all(s.status().dht_nodes >= len(hosts) // 2 for s in sessions))
    return sessions, addrs


def alerts(s, kind, seconds=20):
    """The alerts of one kind, as they come, until a deadline."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield from (alert for alert in s.pop_alerts() if isinstance(alert, kind))
        time.sleep(0.02)


class Node:
    """A running `tinybt node`, whose status can be asked for."""

    def __init__(self, bind, bootstrap):
        self.process = subprocess.Popen(
            [TINYBT, "node", "--private", "--bind", bind, "--bootstrap", bootstrap, "--stats-json"],
            stdout=subprocess.PIPE)
        PROCESSES.append(self.process)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.addr, self.status, self.text = split(bind), {}, b""

    def latest(self):
        self.text += self.process.stdout.read() or b""
        *lines, self.text = self.text.split(b"\n")
        for line in lines:
            status = json.loads(line)
            if "nodes" in status:
                self.status = status
        return self.status

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        assert self.process.wait(10) == 0, "a node ends well on Ctrl-C"
        return time.monotonic() - begun


# A querier.


class Raw(bytes):
    """What is bencoded already."""


def bencode(value):
    if isinstance(value, Raw):
        return bytes(value)
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    return b"d" + b"".join(bencode(key) + bencode(value[key]) for key in sorted(value)) + b"e"


def raw(addr, datagram, source=None, seconds=5):
    """One datagram there, one back."""
    with socket.socket(family_of(addr[0]), socket.SOCK_DGRAM) as sock:
        if source:
            sock.bind((source, 0))
        sock.settimeout(seconds)
        sock.sendto(datagram, addr)
        return lt.bdecode(sock.recvfrom(2048)[0])


def ask(addr, method, source=None, seconds=5, **args):
    """The values of the reply, or the code of the error."""
    answer = raw(addr, bencode({
        "a": {"id": b"s" * 20} | args, "q": method, "ro": 1, "t": random.randbytes(4), "y": "q",
    }), source, seconds)
    # libtorrent has its id in errors as well.
    return answer[b"e"][0] if b"e" in answer else answer[b"r"]


def text(addr):
    return at(*addr)
