"""What the tests with strangers share: waiting, checking, processes, and `tinybt` itself."""

import collections
import functools
import http.client
import importlib.metadata
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.parse

TINYBT = sys.argv[1]
NODE_MODULES = sys.argv[2] if len(sys.argv) > 2 else None
DEADLINE = time.monotonic() + 400
PROCESSES = []
RESULTS = []
SCRAPED_AT_ONCE = 74
REFUSED = "2" * 40


def wait(what, condition, seconds=40, detail=lambda: ""):
    """Polls until the condition gives something true, and returns it."""
    end = min(time.monotonic() + seconds, DEADLINE)
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s {detail()}")


def check(name, truth, detail="", shows=()):
    """`shows` is what `we_ask` and `they_ask` give: what works with whom if this holds."""
    RESULTS.append((name, bool(truth)))
    record(name, bool(truth), shows)
    told = f" {detail}" if detail and not truth else ""
    say(f"{'ok  ' if truth else 'FAIL'} {name}{told}")
    return truth


def we_ask(peer, *columns):
    """They read our questions, we read their answers."""
    return [(peer, column, "we ask") for column in columns]


def they_ask(peer, *columns):
    """We read their questions, they read our answers."""
    return [(peer, column, "they ask") for column in columns]


def record(name, ok, shows):
    """A line of JSON for each, for `matrix.py`, in the file that TINYBT_RECORDS names."""
    path = os.environ.get("TINYBT_RECORDS")
    if not path or not shows:
        return
    with open(path, "a", encoding="utf-8") as file:
        for peer, column, way in shows:
            line = {"peer": peer, "version": version(peer), "what": column, "way": way, "ok": ok,
                    "check": name, "date": time.strftime("%Y-%m-%d")}
            file.write(json.dumps(line) + "\n")


@functools.cache
def version(peer):
    """What it says of itself, or what was installed; nothing if nobody knows."""
    commands = {"transmission": ["transmission-daemon", "--version"],
                "aria2": ["aria2c", "--version"],
                "opentracker": ["dpkg-query", "-W", "-f", "${Version}", "opentracker"],
                "rtorrent": ["rtorrent", "-h"]}
    locks = {"mainline": "strangers/mainline", "librqbit-dht": "field"}
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    try:
        if peer == "libtorrent":
            return importlib.metadata.version(peer)
        if peer in commands:
            done = subprocess.run(commands[peer], capture_output=True, text=True, timeout=10)
            return re.search(r"\d+(\.\w[\w+~-]*)+", done.stdout + done.stderr)[0]
        if peer in locks:
            with open(os.path.join(here, locks[peer], "Cargo.lock"), encoding="utf-8") as file:
                return re.search(f'name = "{peer}"\nversion = "(.*)"', file.read())[1]
        if peer.startswith("aquatic"):
            root = os.path.dirname(os.path.dirname(shutil.which(peer) or ""))
            with open(os.path.join(root, ".crates.toml"), encoding="utf-8") as file:
                return re.search(f'"{peer} (\\S*)', file.read())[1]
        with open(os.path.join(NODE_MODULES or "", peer, "package.json"), encoding="utf-8") as file:
            return json.load(file)["version"]
    except (OSError, TypeError, importlib.metadata.PackageNotFoundError):
        return ""


def say(line):
    """In one piece: there may be threads."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def part(label, body, *args):
    """A part that cannot go on is one failure; the others are still worth a try."""
    begun = time.monotonic()
    try:
        body(label, *args)
    except Exception as error:
        check(f"{label}: {type(error).__name__}: {error}", False)
    say(f"     {label} took {time.monotonic() - begun:.1f} s")


def skip(what):
    say(f"skip {what}")


# Processes.


class Running:
    """A process and the JSON lines that it has printed."""

    def __init__(self, *args, **options):
        options = {"stdout": subprocess.PIPE, "stdin": subprocess.DEVNULL} | options
        self.process = subprocess.Popen([str(arg) for arg in args], **options)
        PROCESSES.append(self.process)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.objects, self.text = [], b""

    def lines(self):
        self.text += self.process.stdout.read() or b""
        *lines, self.text = self.text.split(b"\n")
        self.objects += objects(lines)
        return self.objects

    def tracker(self, state):
        """The first line of a tracker in this state."""
        return next((line for line in self.lines() if line.get("state") == state), None)

    def end(self, number=signal.SIGINT, seconds=5):
        """Its exit code, and how long it took to end. None if it had to be killed."""
        begun = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = None
        return code, time.monotonic() - begun


def objects(lines):
    """Those lines that are JSON objects."""
    found = []
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


class Done(collections.namedtuple("Done", "code objects")):
    """What `tinybt` said to the end."""

    @property
    def peers(self):
        return {line["peer"] for line in self.objects if "peer" in line}

    @property
    def ports(self):
        return sorted(int(peer.rsplit(":", 1)[1]) for peer in self.peers)

    def tracker(self, url):
        return next((line for line in self.objects if line.get("tracker") == url), {})

    @property
    def counts(self):
        """(seeders, leechers) of each swarm."""
        return {line["info_hash"]: (line["seeders"], line["leechers"])
                for line in self.objects if "tracker" in line and "info_hash" in line}


def tinybt(*args, seconds=40):
    seconds = max(1, min(seconds, DEADLINE - time.monotonic()))
    done = subprocess.run([TINYBT, *args], capture_output=True, text=True, timeout=seconds)
    if done.returncode not in (0, 1):
        say(f"     {done.stderr.strip()}")
    return Done(done.returncode, objects(done.stdout.splitlines()))


def ask_peers(info_hash, *urls, timeout=10):
    trackers = [word for url in urls for word in ("--tracker", url)]
    return tinybt("peers", info_hash, "--no-dht", *trackers, "--json", "--timeout", str(timeout))


def ask_scrape(url, *hashes):
    return tinybt("scrape", *hashes, "--tracker", url, "--json")


def announcer(info_hash, port, url):
    return Running(TINYBT, "announce", info_hash, "--port", port, "--no-dht", "--tracker", url,
                   "--json")


# Addresses.


def free_port(*hosts):
    """A port that is free for UDP and TCP at all of these addresses."""
    for _ in range(100):
        with socket.create_server((hosts[0], 0), family=family_of(hosts[0])) as first:
            port = first.getsockname()[1]
        try:
            for host in hosts:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    with socket.socket(family_of(host), kind) as probe:
                        probe.bind((host, port))
            return port
        except OSError:
            continue
    raise OSError("no free port")


def family_of(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def at(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def hosts_here():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return ["127.0.0.1", "::1"]
    except OSError:
        skip("IPv6: there is no ::1 here")
        return ["127.0.0.1"]


# A client of a few lines: tells whether a tracker runs, and fills its swarms.


def exchange(sock, action, connection, body):
    transaction = random.randbytes(4)
    sock.send(connection + struct.pack(">I", action) + transaction + body)
    answer = sock.recv(2048)
    if len(answer) < 16 or answer[:8] != struct.pack(">I", action) + transaction:
        raise OSError(f"a tracker answers {answer!r}")
    return answer[8:]


def connect(sock, parsed):
    sock.settimeout(2)
    sock.connect((parsed.hostname, parsed.port))
    return exchange(sock, 0, struct.pack(">Q", 0x41727101980), b"")


def raw_announce(url, wanted):
    """Announces one peer for each (info-hash, bytes left)."""
    parsed = urllib.parse.urlsplit(url)
    if parsed.scheme == "udp":
        with socket.socket(family_of(parsed.hostname), socket.SOCK_DGRAM) as sock:
            connection = connect(sock, parsed)
            for info_hash, left in wanted:
                exchange(sock, 1, connection, struct.pack(
                    ">20s20sQQQIIIiH", bytes.fromhex(info_hash), random.randbytes(20), 0, left, 0,
                    2, 0, 7, -1, 4_000))
        return
    for info_hash, left in wanted:
        query = urllib.parse.urlencode({
            "info_hash": bytes.fromhex(info_hash), "peer_id": random.randbytes(20), "port": 4_000,
            "uploaded": 0, "downloaded": 0, "left": left, "compact": 1, "event": "started"},
            quote_via=urllib.parse.quote)
        ask = http.client.HTTPConnection(parsed.hostname, parsed.port, timeout=5)
        ask.request("GET", f"{parsed.path}?{query}")
        answer = ask.getresponse().read()
        ask.close()
        if b"8:interval" not in answer:
            raise OSError(f"a tracker answers {answer!r}")


def is_there(url):
    """Whether a tracker answers at this URL."""
    parsed = urllib.parse.urlsplit(url)
    try:
        if parsed.scheme == "udp":
            with socket.socket(family_of(parsed.hostname), socket.SOCK_DGRAM) as sock:
                connect(sock, parsed)
        else:
            socket.create_connection((parsed.hostname, parsed.port), 1).close()
    except OSError:
        return False
    return True


def has_node():
    return NODE_MODULES and shutil.which("node") and os.path.isdir(
        os.path.join(NODE_MODULES, "bittorrent-tracker"))


class Ours(Running):
    """Our tracker."""

    def __init__(self, hosts, port):
        binds = [word for host in hosts for word in ("--bind", at(host, port))]
        super().__init__(TINYBT, "tracker", *binds, "--json")
        self.port = port

    def url(self, kind, host):
        return f"{kind}://{at(host, self.port)}/announce"


def start_ours(hosts):
    server = Ours(hosts, free_port(*hosts))
    expected = {at(host, server.port) for host in hosts}
    wait("our tracker listens",
         lambda: {line.get("listening") for line in server.lines()} >= expected, 10, server.lines)
    return server
