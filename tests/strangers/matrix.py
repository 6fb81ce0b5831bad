"""What works with whom, as a page, from what the scripts with strangers have recorded.

Usage: matrix.py RECORDS… > docs/INTEROP.md. Fails if something that we write is read by nobody
else, or something that we read is written by nobody else.
"""

import collections
import json
import platform
import sys

DHT = ["ping", "find_node", "get_peers", "announce_peer", "errors", "want/nodes6", "BEP 33",
       "BEP 42", "BEP 44 immutable", "BEP 44 mutable", "BEP 51", "download through us"]
UDP = ["connect", "announce", "peers", "scrape", "error", "BEP 41", "IPv6"]
HTTP = ["announce", "peers", "dictionary", "scrape", "error", "IPv6"]

TABLES = [
    ("Nodes of the DHT", "", DHT, ["libtorrent", "transmission", "aria2", "mainline",
                                   "librqbit-dht", "bittorrent-dht", "rtorrent"]),
    ("UDP trackers", "udp ", UDP, ["libtorrent", "transmission", "aria2", "aquatic_udp",
                                   "opentracker", "bittorrent-tracker"]),
    ("HTTP trackers", "http ", HTTP, ["libtorrent", "transmission", "aria2", "aquatic_http",
                                      "opentracker", "bittorrent-tracker"]),
]

LOOPBACK = "its DHT ignores a loopback"
NO_ITEMS = "it knows no items"
NO_SAMPLES = "it knows no samples"
NO_IPV6 = "its DHT is IPv4 only"
NO_FILTERS = "it knows no filters"
# What they cannot, or what cannot be seen; by peer and column, or by peer for all columns.
CANNOT = {
    ("transmission", ""): LOOPBACK,
    ("libtorrent", "ping"): "it asks other things",
    ("libtorrent", "errors"): "our questions are none that it refuses, and it does not tell of ours",
    ("libtorrent", "BEP 42"): "it takes no vote for a loopback; we read its `ip`",
    ("libtorrent", "BEP 33"): "it asks for no filters; it keeps and tells them",
    ("mainline", "want/nodes6"): NO_IPV6,
    ("mainline", "BEP 33"): NO_FILTERS,
    ("mainline", "BEP 51"): NO_SAMPLES,
    ("mainline", "download through us"): "it is a DHT alone",
    ("librqbit-dht", "BEP 33"): NO_FILTERS,
    ("librqbit-dht", "BEP 44"): NO_ITEMS,
    ("librqbit-dht", "BEP 51"): NO_SAMPLES,
    ("librqbit-dht", "errors"): "it is silent where others refuse",
    ("librqbit-dht", "download through us"): "it is a DHT alone",
    ("bittorrent-dht", "want/nodes6"): NO_IPV6,
    ("bittorrent-dht", "BEP 33"): NO_FILTERS,
    ("bittorrent-dht", "BEP 42"): "it neither tells nor asks",
    ("bittorrent-dht", "BEP 51"): NO_SAMPLES,
    ("bittorrent-dht", "download through us"): "it is a DHT alone",
    ("aria2", "BEP 33"): NO_FILTERS,
    ("aria2", "BEP 42"): "it neither tells nor asks",
    ("aria2", "BEP 44"): NO_ITEMS,
    ("aria2", "BEP 51"): NO_SAMPLES,
    ("aria2", "errors"): "it is silent where others refuse",
    ("rtorrent", "BEP 33"): NO_FILTERS,
    ("rtorrent", "BEP 42"): "it neither tells nor asks",
    ("rtorrent", "BEP 44"): NO_ITEMS,
    ("rtorrent", "BEP 51"): NO_SAMPLES,
    ("rtorrent", "want/nodes6"): NO_IPV6,
    ("opentracker", "udp error"): "it refuses without words: eight bytes that call themselves an "
                                  "answer to another question, which we take for a refusal",
    ("opentracker", "udp IPv6"): "Debian's is built for IPv4",
    ("opentracker", "http IPv6"): "Debian's is built for IPv4",
    ("opentracker", "http dictionary"): "asked for it, it answers with a page of HTML",
    ("aquatic_http", "http dictionary"): "it knows the compact form alone",
    ("libtorrent", "http dictionary"): "our tracker knows the compact form alone",
    ("transmission", "http dictionary"): "our tracker knows the compact form alone",
    ("aria2", "http dictionary"): "our tracker knows the compact form alone",
}

# Whatever is on the wire, and where it is seen: its column, and who asks where we write it; where
# we read it, the other one asks.
MESSAGES = [
    *((f"KRPC {method}, query", method, "we ask") for method in DHT[:4]),
    *((f"KRPC {method}, reply", method, "they ask") for method in DHT[:4]),
    ("KRPC error", "errors", "they ask"),
    ("KRPC nodes6", "want/nodes6", "they ask"),
    ("KRPC get and put, immutable, query", "BEP 44 immutable", "we ask"),
    ("KRPC get and put, immutable, reply", "BEP 44 immutable", "they ask"),
    ("KRPC get and put, mutable, query", "BEP 44 mutable", "we ask"),
    ("KRPC get and put, mutable, reply", "BEP 44 mutable", "they ask"),
    ("KRPC sample_infohashes, query", "BEP 51", "we ask"),
    ("KRPC sample_infohashes, reply", "BEP 51", "they ask"),
    *((f"UDP tracker {what}, request", f"udp {what}", "we ask")
      for what in ("connect", "announce", "scrape", "BEP 41")),
    *((f"UDP tracker {what}, response", f"udp {what}", "they ask")
      for what in ("connect", "announce", "scrape", "error")),
    ("HTTP tracker announce, request", "http announce", "we ask"),
    ("HTTP tracker announce, answer with compact peers", "http peers", "they ask"),
    ("HTTP tracker announce, answer with dictionaries", "http dictionary", None),
    ("HTTP tracker scrape, request", "http scrape", "we ask"),
    ("HTTP tracker scrape, answer", "http scrape", "they ask"),
    ("HTTP tracker failure", "http error", "they ask"),
]
# In scrapes of BEP 33, a flag in a query and two filters in a reply: they are never asked for by
# those who tell them, so libtorrent's filters are compared with ours bit by bit.
OTHER = {"we ask": "they ask", "they ask": "we ask"}


def main(paths):
    seen, versions, dates, failed = collections.defaultdict(set), {}, set(), set()
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for line in file:
                one = json.loads(line)
                (seen if one["ok"] else collections.defaultdict(set))[
                    one["peer"], one["what"]].add(one["way"])
                if not one["ok"]:
                    failed.add((one["peer"], one["what"], one["check"]))
                versions[one["peer"]] = one["version"]
                dates.add(one["date"])
    print(page(seen, versions, dates), end="")
    missing = [text for text, readers, writers in messages(seen) if not (readers and writers)
               and text not in EXCUSED]
    for text in missing:
        print(f"matrix: {text}: no reader or no writer but ours", file=sys.stderr)
    for one in sorted(failed):
        print(f"matrix: failed: {one}", file=sys.stderr)
    return 1 if missing or failed else 0


# What only goes one way.
EXCUSED = {"HTTP tracker announce, answer with dictionaries"}


def page(seen, versions, dates):
    notes = []

    def note(text):
        if text not in notes:
            notes.append(text)
        return f"<sup>{notes.index(text) + 1}</sup>"

    def cell(peer, column):
        ways = seen.get((peer, column), set())
        reason = (CANNOT.get((peer, column)) or CANNOT.get((peer, column.rsplit(" ", 1)[0]))
                  or (CANNOT.get((peer, "")) if column in DHT else None))
        if len(ways) == 2:
            return "both"
        if ways:
            return min(ways) + (note(reason) if reason else "")
        return f"no{note(reason)}" if reason else "–"

    out = [f"""# What works with whom

Made by `bash .ci/interop` from what the scripts in `tests/strangers/` saw on a loopback,
{max(dates)}, Linux {platform.release().split("-")[0]}. `both`: they ask and we answer, and the other way round;
`we ask`: they read our questions and we read their answers; `they ask`: the reverse, so far as
they go on as they do with good answers; `no`: it cannot be, for the reason given; `–`: not tried,
or not seen. A client asks trackers and a tracker is asked, so one way is all there is. Of BEP 41
is seen that announces which carry a path are taken in.
"""]
    for title, prefix, columns, peers in TABLES:
        out += [f"## {title}", "", "| | " + " | ".join(columns) + " |",
                "|---" * (len(columns) + 1) + "|"]
        for peer in peers:
            name = f"{peer} {versions[peer]}" if peer in versions else f"{peer} (not there)"
            if prefix == "" and peer == "transmission":
                name = peer
            cells = " | ".join(cell(peer, prefix + column) for column in columns)
            out.append(f"| {name} | {cells} |")
        out.append("")
    out += [f"{n}. {text[0].upper()}{text[1:]}." for n, text in enumerate(notes, 1)]
    out += ["", "## Messages", "",
            "Everything that we write is read by somebody else, and everything that we read is "
            "written by somebody else:", "", "| | ours is read by | theirs is written by |",
            "|---|---|---|"]
    for text, readers, writers in messages(seen):
        out.append(f"| {text} | {', '.join(readers) or '–'} | {', '.join(writers) or '–'} |")
    out += ["", "Our tracker writes no dictionaries. Filters of BEP 33 are asked for by nobody else; "
            "libtorrent's, which we read, are compared with ours bit by bit."]
    return "\n".join(out) + "\n"


def messages(seen):
    """Each with those who have read ours, and those whose we have read."""
    for text, column, ours in MESSAGES:
        def who(way):
            return sorted(peer for (peer, what), ways in seen.items()
                          if what == column and way in ways)
        if ours is None:
            yield text, [], who("we ask")
        else:
            yield text, who(ours), who(OTHER[ours])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
