"""Trackers that are not ours, asked by `tinybt`."""

import dataclasses
import hashlib
import http.client
import http.server
import json
import shutil
import socket
import threading
import time
import urllib.parse

from kit import (
    NODE_MODULES, REFUSED, Running, SCRAPED_AT_ONCE, announcer, ask_peers, ask_scrape, at, check,
    free_port, has_node, is_there, part, raw_announce, skip, start_ours, wait, we_ask,
)


# Trackers that are not ours.


@dataclasses.dataclass
class Place:
    """Where a tracker can be asked."""

    label: str
    url: str
    # In what it says of a swarm that it refuses.
    words: str
    # False where it answers with peers of the wrong family.
    names_peers: bool
    # Swarms that nobody else asks it about.
    hashes: list
    tracker: str

    def shows(self, *columns):
        """What we have seen work there: BEP 41 is in each of our announces over UDP."""
        kind, sixth = self.url.split(":")[0], "[" in self.url
        columns = [f"{kind} {column}" for column in columns]
        return we_ask(self.tracker, *columns, *([f"{kind} IPv6"] if sixth and columns else []))


def place(tracker, kind, host, port, words, names_peers=True, bits=8):
    """`bits` is how many of each byte of its info-hashes are in use."""
    label = f"{tracker}, {kind} IPv{6 if ':' in host else 4}"
    digests = [hashlib.sha1(f"{label} {n}".encode()).digest() for n in range(SCRAPED_AT_ONCE + 1)]
    hashes = [bytes(byte % (1 << bits) for byte in digest).hex() for digest in digests]
    return Place(label, f"{kind}://{at(host, port)}/announce", words, names_peers, hashes,
                 tracker)


def opentracker(scratch, _hosts):
    """Debian's is built for IPv4, and knows only the swarms of a list."""
    port = free_port("127.0.0.1")
    places = [
        # Without a word: eight bytes that call themselves an answer to a connect request.
        place("opentracker", "udp", "127.0.0.1", port, ""),
        place("opentracker", "http", "127.0.0.1", port, "not authorized"),
    ]
    # It may become another user, and sees nothing but this directory.
    root = scratch / "opentracker"
    root.mkdir()
    for path in (scratch, root):
        path.chmod(0o755)
    hashes = [info_hash for place in places for info_hash in place.hashes]
    (root / "known").write_text("".join(f"{info_hash}\n" for info_hash in hashes))
    Running("opentracker", "-i", "127.0.0.1", "-p", port, "-P", port, "-d", root, "-w", "known")
    return places


def aquatic(kind):
    def start(scratch, hosts):
        """One process for each family."""
        places = []
        for host in hosts:
            port = free_port(host)
            (scratch / "refused").write_text(f"{REFUSED}\n")
            config = scratch / f"{kind}{port}.toml"
            config.write_text(f'[network]\naddress = "{at(host, port)}"\n'
                              f'[access_list]\nmode = "deny"\npath = "{scratch / "refused"}"\n')
            Running(f"aquatic_{kind}", "-c", config)
            places.append(place(f"aquatic_{kind}", kind, host, port, "Info hash not allowed"))
        return places
    return start


BITTORRENT_TRACKER = """
import Server from "bittorrent-tracker/server"
const [port, refused, hosts] = JSON.parse(process.argv[1])
const refusal = new Error("this swarm is not for you")
const filter = (hash, _, done) => done(hash === refused ? refusal : null)
const options = { ws: false, stats: false, interval: 900000, filter }
for (const [index, host] of hosts.entries()) {
  const server = new Server({ ...options, udp: index === 0 && hosts.length === 2, http: true })
  server.on("error", error => console.error(error.message))
  server.on("warning", () => {})
  server.listen(port, { http: host, udp: hosts[0], udp6: hosts[1] })
}
"""


def bittorrent_tracker(_scratch, hosts):
    port = free_port(*hosts)
    script = BITTORRENT_TRACKER
    if len(hosts) == 1:
        skip("bittorrent-tracker over UDP: it needs IPv6 for it")
    Running("node", "--input-type=module", "-e", script, json.dumps([port, REFUSED, hosts]),
            cwd=NODE_MODULES)
    words = "this swarm is not for you"
    # Its HTTP scrape takes the bytes of an info-hash for characters, and writes them as UTF-8.
    places = [place("bittorrent-tracker", "http", host, port, words, bits=7) for host in hosts]
    if len(hosts) == 2:
        # Its UDP answers over IPv6 have room for IPv4 peers only.
        places += [place("bittorrent-tracker", "udp", host, port, words, ":" not in host)
                   for host in hosts]
    return places


def trackers():
    """Those that are installed, by name."""
    known = [
        ("opentracker", opentracker, shutil.which("opentracker")),
        ("bittorrent-tracker", bittorrent_tracker, has_node()),
        ("aquatic_udp", aquatic("udp"), shutil.which("aquatic_udp")),
        ("aquatic_http", aquatic("http"), shutil.which("aquatic_http")),
    ]
    for name, _, is_here in known:
        if not is_here:
            skip(f"{name}: not installed")
    return [(name, start) for name, start, is_here in known if is_here]


def their_trackers(scratch, hosts):
    answering = 0
    for name, start in trackers():
        places = []
        try:
            places = start(scratch, hosts)
            for one in places:
                wait(f"{one.label} runs", lambda: is_there(one.url), 10)
            answering += 1
            print(f"     {name} runs and answers", flush=True)
        except (AssertionError, OSError) as error:
            check(f"{name}: {error}", False)
            continue
        for one in places:
            part(one.label, their_tracker, one)
            if one.url.startswith("http://127") and name == "bittorrent-tracker":
                part(f"{one.label}, dictionaries", dictionaries, one)
    check(f"at least two trackers that are not ours ran ({answering})", answering >= 2)


def their_tracker(label, one):
    swarm, *others, empty = one.hashes
    host = urllib.parse.urlsplit(one.url).hostname

    # Two of us come.
    first, second = announcer(swarm, 50_001, one.url), announcer(swarm, 50_002, one.url)
    for who, running in (("first", first), ("second", second)):
        line = wait(f"{label}: the {who} announces", lambda: running.tracker("working"), 10,
                    running.lines)
        check(f"{label}: the {who} announce is taken in, with an interval",
              (line["interval"] or 0) > 0 and line["tracker"] == one.url, line,
              one.shows(*(["connect", "announce", "BEP 41"] if one.url.startswith("udp")
                          else ["announce"])))
    counts = ask_scrape(one.url, swarm)
    check(f"{label}: scrape counts both, as leechers",
          counts.code == 0 and counts.counts == {swarm: (0, 2)}, counts, one.shows("scrape"))

    # They are found.
    found = ask_peers(swarm, one.url)
    line = found.tracker(one.url)
    check(f"{label}: peers sees the tracker work", line.get("state") == "working", found)
    if one.names_peers:
        both = {at(host, 50_001), at(host, 50_002)}
        check(f"{label}: peers finds both, with their ports",
              found.code == 0 and found.peers >= both, found, one.shows("peers"))
        check(f"{label}: and nobody else, itself neither", found.peers <= both, found.peers - both)
        sources = {line["source"] for line in found.objects if "peer" in line}
        check(f"{label}: and says who named them", sources == {one.url}, sources)
        check(f"{label}: and counts them", found.objects[-1].get("peers") == len(found.peers),
              found.objects[-1])
    again = ask_scrape(one.url, swarm)
    check(f"{label}: who only looks is not left in the swarm", again.counts == counts.counts, again)

    # Many swarms at once, all of them known to the tracker.
    expected = {info_hash: (0, 1) if n % 3 else (1, 0) for n, info_hash in enumerate(others)}
    raw_announce(one.url, [(info_hash, 1_000 * expected[info_hash][1]) for info_hash in others])
    many = ask_scrape(one.url, swarm, *others)
    right = sum(many.counts.get(info_hash) == counts for info_hash, counts in expected.items())
    check(f"{label}: a scrape of {len(others) + 1} is answered ({right + 1} right)",
          many.code == 0 and many.counts == {**counts.counts, **expected},
          [line for line in many.objects if "seeders" not in line])

    # One goes.
    code, took = first.end()
    check(f"{label}: Ctrl-C ends an announcer well ({took:.2f} s)", code == 0, f"exit code {code}")
    counts = ask_scrape(one.url, swarm)
    check(f"{label}: it has told the tracker", sum(counts.counts.get(swarm, ())) == 1, counts)
    if one.names_peers:
        left = ask_peers(swarm, one.url)
        check(f"{label}: the other one is still found, the first no more",
              at(host, 50_002) in left.peers and at(host, 50_001) not in left.peers, left.peers)
    code, took = second.end()
    check(f"{label}: and the second ({took:.2f} s)", code == 0, f"exit code {code}")

    # Nobody is there; and a swarm is refused.
    nobody = ask_peers(empty, one.url)
    check(f"{label}: in an empty swarm nothing is found", nobody.code == 1 and not nobody.peers,
          nobody)
    refused = ask_peers(REFUSED, one.url)
    line = refused.tracker(one.url)
    check(f"{label}: a refusal is a failure",
          refused.code in (1, 3) and not refused.peers and line.get("state") == "failed", refused)
    check(f"{label}: told as text ({line.get('error')})",
          line.get("error") and one.words in line["error"], line,
          # Eight bytes that call themselves an answer to something else are no error message.
          one.shows("error") if one.words else ())


def dictionaries(label, one):
    """A tracker that is not asked for the compact form: what we ask for is left out on the way."""
    theirs = urllib.parse.urlsplit(one.url)

    class Passing(http.server.BaseHTTPRequestHandler):
        bodies = []

        def do_GET(self):
            ask = http.client.HTTPConnection(theirs.hostname, theirs.port, timeout=5)
            ask.request("GET", self.path.replace("compact=1", "compact=0"))
            self.bodies.append(ask.getresponse().read())
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.bodies[-1])))
            self.end_headers()
            self.wfile.write(self.bodies[-1])

        def log_message(self, *_):
            pass

    swarm = hashlib.sha1(label.encode()).hexdigest()
    raw_announce(one.url, [(swarm, 1)])
    server = http.server.ThreadingHTTPServer((theirs.hostname, 0), Passing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found = ask_peers(swarm, f"http://{at(*server.server_address)}/announce")
    check(f"{label}: peers are found in dictionaries", 4_000 in found.ports
          and any(b"4:port" in body for body in Passing.bodies), (found, Passing.bodies),
          one.shows("dictionary"))
    server.shutdown()


def no_trackers(label):
    """Those that do not answer do not stand in the way."""
    server = start_ours(["127.0.0.1"])
    swarm = hashlib.sha1(b"silence").hexdigest()
    raw_announce(server.url("udp", "127.0.0.1"), [(swarm, 1)])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        dead = f"udp://{at(*silent.getsockname())}/announce"
        begun = time.monotonic()
        found = ask_peers(swarm, dead, server.url("udp", "127.0.0.1"), timeout=2)
        took = time.monotonic() - begun
        first = next((line["at"] for line in found.objects if "peer" in line), None)
        check(f"{label}: a silent one does not hide the other ({first} s)",
              found.code == 0 and found.ports == [4_000] and first < 1, found)
        check(f"{label}: and is not said to work", found.tracker(dead).get("state") != "working",
              found)
        check(f"{label}: the timeout holds ({took:.2f} s)", took < 8)
        alone = ask_peers(swarm, dead, timeout=2)
        check(f"{label}: a silent one alone is a failure", alone.code in (1, 3), alone)
    closed = f"http://127.0.0.1:{free_port('127.0.0.1')}/announce"
    alone = ask_peers(swarm, closed, timeout=2)
    line = alone.tracker(closed)
    check(f"{label}: nobody at an HTTP port is a failure of the network ({line.get('error')})",
          alone.code == 3 and line.get("state") == "failed" and line.get("error"), alone)
    scraped = ask_scrape(closed, swarm)
    check(f"{label}: for scrape as well", scraped.code == 3, scraped)
    server.end()
