"""Clients that are not ours, at our tracker."""

import hashlib
import http.client
import json
import random
import shutil

import libtorrent as lt

from kit import (
    NODE_MODULES, Running, ask_peers, ask_scrape, at, check, free_port, has_node, part, skip,
    start_ours, they_ask, wait,
)


# Clients that are not ours, at our tracker.


class Torrent:
    """A file of its own, and the torrent of it with one tracker."""

    def __init__(self, scratch, name, url):
        self.data = random.Random(name).randbytes(300_000)
        size = 1 << 15
        pieces = b"".join(hashlib.sha1(self.data[n:n + size]).digest()
                          for n in range(0, len(self.data), size))
        info = {b"name": name.encode(), b"length": len(self.data), b"piece length": size,
                b"pieces": pieces}
        self.name = name
        self.info_hash = hashlib.sha1(lt.bencode(info)).hexdigest()
        self.bytes = lt.bencode({b"announce": url.encode(), b"info": info})
        self.scratch = scratch / name
        self.scratch.mkdir()
        self.path = self.scratch / f"{name}.torrent"
        self.path.write_bytes(self.bytes)

    def directory(self, who, with_file=False):
        made = self.scratch / who
        made.mkdir()
        if with_file:
            (made / self.name).write_bytes(self.data)
        return made

    def is_whole_in(self, directory):
        path = directory / self.name
        return path.is_file() and path.read_bytes() == self.data


class Libtorrent:
    """A libtorrent session with one torrent."""

    def __init__(self, host, port, torrent, who, seeds):
        self.addr = at(host, port)
        self.directory = torrent.directory(who, seeds)
        self.session = lt.session({
            "listen_interfaces": self.addr,
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "allow_multiple_connections_per_ip": True,
            "unchoke_slots_limit": -1,
            "enable_outgoing_utp": False,
            # Else it asks a loopback for nothing but /announce.
            "ssrf_mitigation": False,
            "alert_mask": lt.alert.category_t.tracker_notification,
        })
        params = lt.load_torrent_buffer(torrent.bytes)
        params.save_path = str(self.directory)
        params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
        self.handle = self.session.add_torrent(params)
        self.told = []

    def peers_told(self):
        """The most peers that a tracker has told it of in one answer; None before the first."""
        for alert in self.session.pop_alerts():
            if isinstance(alert, lt.tracker_reply_alert):
                self.told.append(alert.num_peers)
            elif isinstance(alert, lt.tracker_error_alert):
                print(f"     {alert.message()}", flush=True)
        return max(self.told, default=None)

    def scraped(self):
        """(seeders, leechers) that a tracker has told it; None before."""
        for alert in self.session.pop_alerts():
            if isinstance(alert, lt.scrape_reply_alert):
                return alert.complete, alert.incomplete
        return None

    def leave(self):
        """Takes the torrent out, which tells the tracker."""
        self.session.remove_torrent(self.handle)


def asked_us(client, url):
    kind = url.split(":")[0]
    columns = ["connect", "announce", "peers"] if kind == "udp" else ["announce", "peers"]
    if client == "libtorrent" and kind == "udp":
        columns.append("BEP 41")
    return they_ask(client, *(f"{kind} {column}" for column in columns),
                    *([f"{kind} IPv6"] if "[" in url else []))


def listed(torrent, url):
    return ask_peers(torrent.info_hash, url).peers


def scraped(torrent, url):
    """(seeders, leechers) by our tracker."""
    return ask_scrape(url, torrent.info_hash).counts.get(torrent.info_hash, ())


def libtorrent_at_ours(label, url, scratch, name, host):
    torrent = Torrent(scratch, name, url)
    # One address for all sessions: libtorrent keeps one connection id of a tracker for the whole
    # process, and ours is good for one address only.
    ip = "127.0.0.21" if ":" not in host else host
    seed = Libtorrent(ip, free_port(ip), torrent, "seed", True)
    wait(f"{label}: libtorrent's seed is answered", lambda: seed.peers_told() is not None)
    wait(f"{label}: the seed is listed", lambda: seed.addr in listed(torrent, url), 10)
    check(f"{label}: a seed is listed by peers, and counted as one",
          scraped(torrent, url) == (1, 0), scraped(torrent, url))
    other = Libtorrent(ip, free_port(ip), torrent, "other", False)
    check(f"{label}: libtorrent is told of it by our tracker",
          wait("told", other.peers_told, detail=lambda: other.told) == 1, other.told,
          asked_us("libtorrent", url))
    wait(f"{label}: libtorrent downloads", lambda: torrent.is_whole_in(other.directory))
    check(f"{label}: and downloads from it", True)
    check(f"{label}: both are listed by peers", listed(torrent, url) == {seed.addr, other.addr},
          listed(torrent, url))
    other.handle.scrape_tracker()
    told = wait(f"{label}: libtorrent scrapes", other.scraped)
    check(f"{label}: libtorrent scrapes ours, and counts both", sum(told) == 2, told,
          they_ask("libtorrent", f"{url.split(':')[0]} scrape"))
    wait(f"{label}: both are seeds now", lambda: scraped(torrent, url) == (2, 0), 10,
         lambda: scraped(torrent, url))
    line = ask_scrape(url, torrent.info_hash).objects[0]
    check(f"{label}: both are counted as seeds, one as having completed",
          line["completed"] == 1, line)
    seed.leave()
    wait(f"{label}: the seed is gone", lambda: scraped(torrent, url) == (1, 0), 10,
         lambda: scraped(torrent, url))
    check(f"{label}: stopped removes it", listed(torrent, url) == {other.addr},
          listed(torrent, url))
    other.leave()
    wait(f"{label}: all are gone", lambda: scraped(torrent, url) == (0, 0), 10,
         lambda: scraped(torrent, url))


def aria2(torrent, _url, host, port):
    directory = torrent.directory("aria2")
    # It asks UDP trackers from the socket of its DHT, and not without.
    running = Running(
        "aria2c", "--no-conf=true", "--enable-dht=true", "--enable-dht6=false",
        f"--dht-file-path={directory / 'dht'}", "--bt-enable-lpd=false", "--disable-ipv6=true",
        f"--interface={host}",
        f"--listen-port={port}", f"--dht-listen-port={free_port(host)}", f"--dir={directory}",
        "--seed-ratio=0.0", "--file-allocation=none", "--quiet=true", torrent.path)
    return running, lambda: torrent.is_whole_in(directory), lambda: running.end()


def transmission(torrent, _url, host, port):
    """It does not connect to a loopback, but others can connect to it.

    When it ends it does not wait for its goodbyes over HTTP, so it is told to leave the swarm."""
    directory, config = torrent.directory("transmission"), torrent.directory("config")
    (config / "torrents").mkdir()
    (config / "torrents" / torrent.path.name).write_bytes(torrent.bytes)
    control = free_port("127.0.0.1")
    running = Running(
        "transmission-daemon", "--foreground", "--config-dir", config, "--download-dir", directory,
        "--no-incomplete-dir", "--no-watch-dir", "--no-dht", "--no-lpd", "--no-portmap",
        "--bind-address-ipv4", host, "--bind-address-ipv6", "::1", "--peerport", port,
        "--no-auth", "--log-error", "--rpc-bind-address", "127.0.0.1", "--port", control)

    def leave():
        headers = {}
        for _ in range(2):
            ask = http.client.HTTPConnection("127.0.0.1", control, timeout=5)
            ask.request("POST", "/transmission/rpc", '{"method": "torrent-stop"}', headers)
            answer = ask.getresponse()
            # The first is refused, and told what to send the second time.
            key = "X-Transmission-Session-Id"
            headers = {key: answer.getheader(key)}
            answer.read()
            ask.close()
        if answer.status != 200:
            raise OSError(f"transmission answers {answer.status}")

    return running, lambda: torrent.is_whole_in(directory), leave


# What it needs WebRTC for cannot be asked here, and its binaries are not installed.
BITTORRENT_TRACKER_CLIENT = """
import { register } from "node:module"
register("data:text/javascript," + encodeURIComponent(`
  export const resolve = (name, context, next) => name.startsWith("@thaunknown/simple-peer")
    ? { url: "data:text/javascript,export default class {}", shortCircuit: true }
    : next(name, context)`))
const { default: Client } = await import("bittorrent-tracker/client")
const [infoHash, announce, port] = JSON.parse(process.argv[1])
const client = new Client({ infoHash, announce, port, peerId: Buffer.from("-XX0000-123456789012") })
client.on("error", error => console.log(JSON.stringify({ error: error.message })))
client.on("warning", error => console.log(JSON.stringify({ error: error.message })))
client.on("update", update => {
  console.log(JSON.stringify({ update: update.complete }))
  client.scrape()
})
client.on("scrape", told => {
  console.log(JSON.stringify({ scraped: [told.complete, told.incomplete] }))
})
client.on("peer", peer => console.log(JSON.stringify({ told: peer })))
client.start()
const alive = setInterval(() => {}, 1000)
process.on("SIGINT", () => { client.stop(); client.destroy(() => process.exit()) })
"""


def bittorrent_tracker_client(torrent, url, _host, port):
    """It is a client of trackers only, and is content with having been told of a peer."""
    running = Running("node", "--input-type=module", "-e", BITTORRENT_TRACKER_CLIENT,
                      json.dumps([torrent.info_hash, url, port]), cwd=NODE_MODULES)
    return running, lambda: any("told" in line for line in running.lines()), lambda: running.end()


def bittorrent_tracker_client_refused(label, url):
    """It takes the text for a number."""
    running = Running("node", "--input-type=module", "-e", BITTORRENT_TRACKER_CLIENT,
                      json.dumps(["4" * 40, url, "0"]), cwd=NODE_MODULES)
    line = wait(f"{label}: it is answered", running.lines, 20)[0]
    # Over HTTP the port is what is wrong.
    check(f"{label}: it reads our refusal", any(word in line.get("error", "") for word in ("room", "port")),
          line, they_ask("bittorrent-tracker", f"{url.split(':')[0]} error"))
    running.end()


def client_at_ours(label, url, scratch, name, start, host, client):
    torrent = Torrent(scratch, name, url)
    seed = Libtorrent("127.0.0.21", free_port("127.0.0.21"), torrent, "seed", True)
    wait(f"{label}: the seed is answered", lambda: seed.peers_told() is not None)
    port = free_port(host)
    running, is_content, leave = start(torrent, url, host, port)
    wait(f"{label}: it is listed", lambda: at(host, port) in listed(torrent, url), 20,
         lambda: (listed(torrent, url), running.process.poll(), running.lines()))
    check(f"{label}: it is listed by peers, with its port", True)
    check(f"{label}: both are counted by scrape", sum(scraped(torrent, url)) == 2,
          scraped(torrent, url))
    seed.handle.force_reannounce(0, flags=lt.reannounce_flags_t.ignore_min_interval)
    wait(f"{label}: libtorrent is told", seed.peers_told, 10, lambda: seed.told)
    check(f"{label}: libtorrent is told of it by our tracker", True)
    wait(f"{label}: it has what it wants", is_content, 30, running.lines)
    check(f"{label}: it gets what it wants", True, shows=asked_us(client, url))
    if client == "bittorrent-tracker":
        wait(f"{label}: it scrapes", lambda: any(sum(line.get("scraped", [])) == 2
                                                for line in running.lines()), 20, running.lines)
        check(f"{label}: it scrapes ours, and counts both", True,
              shows=they_ask(client, f"{url.split(':')[0]} scrape"))
    leave()
    wait(f"{label}: it is gone", lambda: scraped(torrent, url) == (1, 0), 10,
         lambda: scraped(torrent, url))
    check(f"{label}: stopped removes it", listed(torrent, url) == {seed.addr}, listed(torrent, url))
    running.end()
    seed.leave()


def our_tracker(scratch, hosts):
    server = start_ours(hosts)
    for host in hosts:
        for kind in ("udp", "http"):
            name = f"libtorrent-{kind}{6 if ':' in host else 4}"
            part(f"{name} at our tracker", libtorrent_at_ours, server.url(kind, host), scratch,
                 name, host)
    clients = [
        ("aria2", aria2, shutil.which("aria2c"), "127.0.0.31"),
        ("transmission", transmission, shutil.which("transmission-daemon"), "127.0.0.32"),
        # It cannot be told where to ask from.
        ("bittorrent-tracker", bittorrent_tracker_client, has_node(), "127.0.0.1"),
    ]
    for name, start, is_here, host in clients:
        if not is_here:
            skip(f"{name} as a client: not installed")
            continue
        for kind in ("udp", "http"):
            part(f"{name} at our tracker, {kind}", client_at_ours, server.url(kind, "127.0.0.1"),
                 scratch, f"{name}-{kind}", start, host, name)
    if has_node():
        for kind in ("udp", "http"):
            part(f"bittorrent-tracker refused by our tracker, {kind}",
                 bittorrent_tracker_client_refused, server.url(kind, "127.0.0.1"))
    code, took = server.end()
    check(f"our tracker: Ctrl-C ends it well ({took:.2f} s)", code == 0, f"exit code {code}")
