"""tinybt beside others, in one run: how fast servers answer, how fast lookups end, and the codecs.

Usage: run.py FIELD NODE_MODULES [--rounds N] [--millis N] [--lookups N] [--at-once N] [--nodes N]
                                 [--only servers|lookups|codec]
FIELD is the program of this directory, beside which is `tinybt-field-codec`: what is also
`cargo bench --bench codec`. Prints docs/FIELD.md. Needs a loopback; speaks to nobody else;
libtorrent and bittorrent-dht take part where they are installed. Every process is ended by its
process id.
"""

import argparse
import concurrent.futures
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import select
import shutil
import statistics
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).parent
PROCESSES = []
PORT = 6881


class Program:
    """A process that speaks JSON lines."""

    def __init__(self, *args):
        self.process = subprocess.Popen(
            [str(arg) for arg in args], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        PROCESSES.append(self.process)
        self.text, self.lock = b"", threading.Lock()

    def line(self, seconds=90):
        """The next line, or nothing if there is none in time."""
        end = time.monotonic() + seconds
        while b"\n" not in self.text:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                return None
            more = os.read(self.process.stdout.fileno(), 65_536)
            if not more:
                return None
            self.text += more
        line, self.text = self.text.split(b"\n", 1)
        return json.loads(line)

    def latest(self, seconds):
        """The last line that it prints within so long."""
        end, last = time.monotonic() + seconds, None
        while (left := end - time.monotonic()) > 0:
            last = self.line(left) or last
        return last

    def say(self, text):
        self.process.stdin.write(f"{text}\n".encode())
        self.process.stdin.flush()

    def ask(self, text):
        with self.lock:
            self.say(text)
            return self.line(10)

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def contenders(args):
    """Name, version, and what is run before the words `serve` and `search`."""
    lock = (HERE / "Cargo.lock").read_text()
    version = lambda name: re.search(f'name = "{name}"\nversion = "(.*)"', lock)[1]
    field = args.field
    found = [
        ("tinybt", version("tinybt-std"), lambda what: [field, what, "tinybt"]),
        ("mainline", version("mainline"), lambda what: [field, what, "mainline"]),
        ("librqbit-dht", version("librqbit-dht"), lambda what: [field, what, "librqbit"]),
    ]
    try:
        found.append(("libtorrent", importlib.metadata.version("libtorrent"),
                      lambda what: [sys.executable, "-W", "ignore", HERE / "their_libtorrent.py", what]))
    except importlib.metadata.PackageNotFoundError:
        note("libtorrent is not installed")
    package = pathlib.Path(args.modules) / "bittorrent-dht" / "package.json"
    if shutil.which("node") and package.is_file():
        script = HERE / "their_bittorrent_dht.mjs"
        found.append(("bittorrent-dht", json.loads(package.read_text())["version"],
                      lambda what: ["node", script, args.modules, what]))
    else:
        note("bittorrent-dht is not installed")
    return found


def note(text):
    print(f"field: {text}", file=sys.stderr, flush=True)


# Servers.


def servers(args, known):
    """Each in a process of its own, with a table filled from the same network."""
    world = Program(args.field, "world", 1, PORT, args.nodes, "quick")
    bootstrap = ",".join(world.line()["bootstrap"])
    addr = "127.0.0.10:7000"
    running = {"echo": (Program(args.field, "echo", addr), addr)}
    for n, (name, _, command) in enumerate(known):
        addr = f"127.0.0.{11 + n}:7000"
        running[name] = (Program(*command("serve"), addr, bootstrap), addr)
    time.sleep(args.fill)
    tables = {name: (program.latest(0.5) or {}).get("nodes")
              for name, (program, _) in running.items()}
    note(f"nodes in the tables: {tables}")
    measuring = Program(args.field, "measure", args.rounds, args.millis, *(
        f"{name}={addr}={program.process.pid}" for name, (program, addr) in running.items()))
    lines = []
    while line := measuring.line(600):
        lines.append(line)
        note(line)
    assert len(lines) == 4 * len(running), "every server is measured with every question"
    for program, _ in running.values():
        program.end()
    world.end()
    return tables, lines


def servers_text(known, tables, lines):
    kinds = list(dict.fromkeys(line["kind"] for line in lines))
    of = {(line["kind"], line["server"]): line for line in lines}
    out = ["| | nodes in table | " + " | ".join(kinds) + " |",
           "|---" * (len(kinds) + 2) + "|"]
    for name in tables:
        cells = []
        for kind in kinds:
            line = of[kind, name]
            rate, cost = f"{line['rate']:,.0f}", f"{line['cost']:.1f} µs"
            if name != "echo":
                rate += f" ({line['rate'] / line['echo_rate']:.2f})"
                cost += f" ({line['cost'] / line['echo_cost']:.2f})"
            cells.append(f"{rate}<br>{cost}<br>{line['bytes']:.0f} bytes")
        out.append(f"| {name} | {tables[name] or ''} | " + " | ".join(cells) + " |")
    stored = {line["server"]: line["stored"] for line in lines}
    told = ", ".join(f"{name} {stored[name]}" for name, *_ in known)
    out += ["", f"Peers in the answer to the last: {told}."]
    return "\n".join(out)


# Lookups.


def lookups(args, known, kind):
    """A network for each seed; several at once, since most of a lookup is waiting."""
    results = {name: [] for name in ["floor", *(name for name, *_ in known)]}
    with concurrent.futures.ThreadPoolExecutor(args.at_once) as pool:
        slots = list(range(args.at_once))
        turns = [pool.submit(lookup, args, known, kind, seed, slots)
                 for seed in range(1_000, 1_000 + args.lookups)]
        for turn in turns:
            for name, line in turn.result().items():
                results[name].append(line)
    return results


def lookup(args, known, kind, seed, slots):
    slot = slots.pop()
    try:
        return lookup_at(args, known, kind, seed, slot)
    finally:
        slots.append(slot)


def lookup_at(args, known, kind, seed, slot):
    world = Program(args.field, "world", seed, 7001 + slot, args.nodes, kind)
    made = world.line()
    found = {"floor": {"first": made["floor_first"], "done": made["floor_done"]}}
    searchers = {}
    for n, (name, _, command) in enumerate(known):
        addr = f"127.0.0.{11 + n}:{6900 + slot}"
        searchers[name] = (addr, Program(
            *command("search"), addr, ",".join(made["bootstrap"]), made["target"], made["peers"]))
    for _, searcher in searchers.values():
        assert searcher.line(30) == {"ready": True}, "a searcher is ready"

    def go(name):
        addr, searcher = searchers[name]
        searcher.say("go")
        line = searcher.line(90) or {}
        traffic = world.ask(addr)
        note(f"{seed} {name}: {line} {traffic}")
        searcher.end()
        return line | traffic

    with concurrent.futures.ThreadPoolExecutor(len(searchers)) as pool:
        turns = {name: pool.submit(go, name) for name in searchers}
        found |= {name: turn.result() for name, turn in turns.items()}
    world.end()
    return found


def lookups_text(results):
    columns = ("first", "most", "done", "sent", "received", "peers")
    out = ["| | first peer | 90 % of the peers | done | sent | received | peers |",
           "|---" * 7 + "|"]
    for name, lines in results.items():
        cells = []
        for key in columns:
            value = middle(lines, key)
            if value is None:
                cells.append("")
            elif key in ("first", "done") and name != "floor":
                ratios = [{key: line[key] / floor[key]} for line, floor in
                          zip(lines, results["floor"]) if line.get(key) is not None]
                cells.append(f"{value:,.0f} ms ({middle(ratios, key):.2f})")
            else:
                cells.append(f"{value:,.0f}" + " ms" * (key in ("first", "most", "done")))
        out.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(out)


def middle(lines, key):
    """The median; what never came is later than everything."""
    values = sorted(float("inf") if line.get(key) is None else line[key] for line in lines)
    value = statistics.median_low(values) if values else float("inf")
    return None if value == float("inf") else value


# The page.


def page(args, known, parts):
    versions = ", ".join(f"{name} {version}" for name, version, _ in known)
    cpu = re.search("model name\\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    release = platform.release().split("-")[0]
    machine = f"{os.cpu_count()} × {cpu[1] if cpu else platform.machine()}, Linux {release}"
    text = f"""# tinybt beside others

Made by `bash .ci/field`, all of it in one run. {datetime.date.today()}; {machine}; {versions}.
Rates depend on the machine and on what else it does (load average {os.getloadavg()[1]:.0f} at the
end): compare within a table only.
"""
    if "servers" in parts:
        text += f"""
## Servers

Answers a second with 64 questions outstanding from one socket; microseconds of the processor for
each, user and system, of all threads of the server; bytes of an answer. In brackets the ratio to
a UDP echo in Rust, one receive and one send for each, that sends as many bytes to the same
question. Medians of {args.rounds} rounds of {args.millis} ms that alternate between all, echo
after server. Where other programs want the processors too, the microseconds say more than the
rates. Every server is a process of its own whose table has been filled from the same emulated
network of {args.nodes:,} nodes without delays; limits on rates are off.

{servers_text(known, *parts['servers'])}

bittorrent-dht tells peers without nodes; librqbit-dht runs on a tokio of one thread, the others
on a thread of their own making.
"""
    if "lookups" in parts:
        text += f"""
## Lookups

In an emulated network of {args.nodes:,} nodes on real sockets of 127.0.0.0/8
(`tests/src/world.rs`: round trips log-normal, median 120 ms and 95th percentile 600 ms, 10 %
jitter; 20 % of the nodes dead, 15 % of the contacts stale, 2 % loss each way; the 8 closest
living nodes each hold 60 % of 50 peers). Each lookup is cold: a node that knows four addresses
and nothing else is made and looks at once. Datagrams are counted by the network, until the lookup
is done. Medians of {args.lookups}, in brackets the ratio to the floor: what the all-knowing would
need who still must be told each address by somebody (medians of the ratios).

{lookups_text(parts['lookups'])}

With 30 % of the nodes dead, 22 % of the contacts stale and 5 % loss each way:

{lookups_text(parts['harder'])}

librqbit-dht never ends a lookup: it is done when no question is in flight any longer. libtorrent
is done when it has no lookup of the kind; its time begins when its DHT runs. mainline, libtorrent
and librqbit-dht look for their own id meanwhile, which is counted.
"""
    if "codec" in parts:
        text += f"""
## Codecs

The same as `cargo bench --bench codec`:

```text
{parts['codec'].strip()}
```
"""
    return text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("field")
    parser.add_argument("modules")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--millis", type=int, default=200)
    parser.add_argument("--lookups", type=int, default=20)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--nodes", type=int, default=50_000)
    parser.add_argument("--fill", type=float, default=30)
    parser.add_argument("--only", choices=["servers", "lookups", "codec"])
    args = parser.parse_args()
    try:
        known, parts = contenders(args), {}
        if args.only in (None, "servers"):
            parts["servers"] = servers(args, known)
        if args.only in (None, "lookups"):
            parts["lookups"] = lookups(args, known, "usual")
            parts["harder"] = lookups(args, known, "harder")
        if args.only in (None, "codec"):
            parts["codec"] = subprocess.run([f"{args.field}-codec"], capture_output=True, text=True,
                                            check=True, timeout=600).stdout
        print(page(args, known, parts), end="")
    finally:
        for process in PROCESSES:
            if process.poll() is None:
                process.kill()
                process.wait()


if __name__ == "__main__":
    main()
