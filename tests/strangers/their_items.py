"""Items (BEP 44, BEP 46): libtorrent's kept by our node, ours by libtorrent, and every refusal."""

import concurrent.futures
import hashlib
import os
import tempfile

import libtorrent as lt

from ed25519 import Key
from kit import check, say, they_ask, tinybt, wait, we_ask
from network import Node, Raw, alerts, ask, bencode, session, sessions_of, split, text


LT = "libtorrent"


def sha1(*parts):
    return hashlib.sha1(b"".join(parts)).digest()


# What libtorrent does with items.


def put_immutable(s, value):
    target = s.dht_put_immutable_item(value)
    put = next((alert.num_success for alert in alerts(s, lt.dht_put_alert, 40)
                if alert.target == target), 0)
    return target.to_bytes(), put


def put_mutable(s, key, salt, value):
    """One more than the number of what it finds, or 1. How many stored it."""
    s.dht_put_mutable_item(key.expanded, key.public, value, salt)
    return next((alert.num_success for alert in alerts(s, lt.dht_put_alert, 60)
                 if alert.public_key == key.public and alert.salt == salt), 0)


def get_immutable(s, target, seconds=20):
    s.dht_get_immutable_item(lt.sha1_hash(target))
    return next((told(alert)["value"] for alert in alerts(s, lt.dht_immutable_item_alert, seconds)
                 if alert.target.to_bytes() == target), None)


def get_mutable(s, key, salt, seq, seconds=40):
    """The value with this number."""
    s.dht_get_mutable_item(key.public, salt)
    for alert in alerts(s, lt.dht_mutable_item_alert, seconds):
        if alert.key == key.public and alert.salt == salt:
            if alert.seq == seq:
                return told(alert)["value"]
            if alert.authoritative:
                s.dht_get_mutable_item(key.public, salt)
    return None


def get_mutable_of(sessions, *args):
    """Now and then one of them finds nothing, whoever has put it."""
    return next((value for value in (get_mutable(s, *args, 20) for s in sessions) if value), None)


def told(alert):
    """Depending on its kind, an alert has the value alone or in a dictionary."""
    item = alert.item
    return item if isinstance(item, dict) and "value" in item else {"value": item}


# Theirs, kept by us.


def theirs(label, host, ours):
    """A libtorrent node puts at ours and is gone; another knows ours alone."""
    node = Node(ours, "127.0.0.1:9")
    wait(f"{label}: our node runs", node.latest)
    key = Key(sha1(label.encode(), b"theirs") + b"k" * 12)

    def only_ours(n):
        s = session(host(n))
        wait("listening", s.listen_port)
        s.add_dht_node(node.addr)
        wait(f"{label}: libtorrent knows our node", lambda: s.status().dht_nodes >= 1)
        return s

    putting = only_ours(0)
    value = b"kept by a stranger"
    target, put = put_immutable(putting, value)
    check(f"{label}: libtorrent puts an immutable item at our node", put >= 1, put)
    check(f"{label}: it is where its hash is", target == sha1(bencode(value)))
    nested = {b"a": [1, b"two", {b"three": -3}], b"b": b"\x00\xff"}
    deep, put = put_immutable(putting, nested)
    check(f"{label}: and one of lists and numbers", put >= 1, put)
    for salt in (b"", b"salt"):
        name = "with a salt" if salt else "without a salt"
        for seq in (1, 2):
            put = put_mutable(putting, key, salt, b"version %d" % seq)
            check(f"{label}: libtorrent puts version {seq} {name} at our node", put >= 1, put)
    putting.stop_dht()
    wait(f"{label}: the one that put is gone", lambda: not putting.is_dht_running())

    reply = ask(node.addr, "get", target=target)
    check(f"{label}: our node has the immutable item", reply.get(b"v") == value, reply)
    check(f"{label}: and no key of it",
          not {b"k", b"sig", b"seq"} & set(reply) and b"token" in reply, reply)
    getting = only_ours(1)
    check(f"{label}: libtorrent gets the immutable item from our node",
          get_immutable(getting, target) == value, shows=they_ask(LT, "BEP 44 immutable"))
    check(f"{label}: and that of lists and numbers", get_immutable(getting, deep) == nested)
    for salt in (b"", b"salt"):
        name = "with a salt" if salt else "without a salt"
        found = get_mutable(getting, key, salt, 2)
        check(f"{label}: libtorrent gets version 2 {name} from our node", found == b"version 2", found,
              they_ask(LT, "BEP 44 mutable"))
        done = tinybt("get", key.public.hex(), "--salt", salt.decode(), "--bootstrap",
                      text(node.addr), "--json")
        first = done.objects[0] if done.objects else {}
        check(f"{label}: and tinybt as well", done.code == 0 and
              (first.get("value"), first.get("seq")) == ("version 2", 2), done)
    told_codes = codes(node.addr)
    for name, expected in EXPECTED.items():
        check(f"{label}: {name}: {expected or 'stored'}", told_codes[name] == expected,
              told_codes[name])
    numbers(label, node.addr)
    lookalikes(label, node.addr)
    told_codes = codes(split(host(1)))
    say(f"     libtorrent's answers to these puts: {differences(told_codes)}")
    getting.stop_dht()
    check(f"{label}: our node ends well", node.stop() < 1)


# What is refused, by whom, with which number.

EXPECTED = {
    "a value of 1,000 bytes": 0,
    "a value of 1,001 bytes": 205,
    "a signature of something else": 206,
    "a salt of 64 bytes": 0,
    "a salt of 65 bytes": 207,
    "a wrong token": 203,
    "version 5": 0,
    "version 5 once more": 0,
    "version 5 with another value": 302,
    "version 4": 302,
    "version 6 in place of 4": 301,
    "version 6 in place of 5": 0,
    "an immutable value of 1,000 bytes": 0,
    "an immutable value of 1,001 bytes": 205,
}


def codes(addr):
    """What a node answers to puts that are good, or bad in one way."""
    key = Key(os.urandom(32))

    def put(value, salt=b"", seq=5, signed=None, token=None, **more):
        target = sha1(key.public, salt)
        token = token or ask(addr, "get", target=target)[b"token"]
        prefix = b"4:salt" + bencode(salt) if salt else b""
        signature = key.sign(prefix + b"3:seq" + bencode(seq) + b"1:v" + bencode(signed or value))
        if salt:
            more["salt"] = salt
        return code(ask(addr, "put", k=key.public, seq=seq, sig=signature, target=target,
                        token=token, v=value, **more))

    def put_immutable(value):
        target = sha1(bencode(value))
        token = ask(addr, "get", target=target)[b"token"]
        return code(ask(addr, "put", target=target, token=token, v=value))

    def code(answer):
        return answer if isinstance(answer, int) else 0

    return {
        "a value of 1,000 bytes": put(b"v" * 996, salt=b"long"),
        "a value of 1,001 bytes": put(b"v" * 997, salt=b"longer"),
        "a signature of something else": put(b"v", salt=b"forged", signed=b"w"),
        "a salt of 64 bytes": put(b"v", salt=b"s" * 64),
        "a salt of 65 bytes": put(b"v", salt=b"s" * 65),
        "a wrong token": put(b"v", salt=b"token", token=b"12345678"),
        "version 5": put(b"five"),
        "version 5 once more": put(b"five"),
        "version 5 with another value": put(b"FIVE"),
        "version 4": put(b"four", seq=4),
        "version 6 in place of 4": put(b"six", seq=6, cas=4),
        "version 6 in place of 5": put(b"six", seq=6, cas=5),
        "an immutable value of 1,000 bytes": put_immutable(b"v" * 996),
        "an immutable value of 1,001 bytes": put_immutable(b"v" * 997),
    }


def differences(answered):
    """Where others see it in another way."""
    return {name: code for name, code in answered.items() if code != EXPECTED[name]} or "the same"


def numbers(label, addr):
    """`get` with `seq`: only what is newer."""
    key = Key(os.urandom(32))
    target = sha1(key.public)
    token = ask(addr, "get", target=target)[b"token"]
    signature = key.sign(b"3:seqi7e1:v5:seven")
    ask(addr, "put", k=key.public, seq=7, sig=signature, token=token, v=b"seven")
    for seq, expected in ((6, b"seven"), (7, None), (8, None)):
        reply = ask(addr, "get", target=target, seq=seq)
        check(f"{label}: asked for newer than {seq}, our node tells {expected or 'no value'} of 7",
              reply.get(b"v") == expected and reply.get(b"seq") == 7 and b"token" in reply, reply)
    reply = ask(addr, "get", target=target)
    check(f"{label}: key and signature come back as they were",
          (reply[b"k"], reply[b"sig"]) == (key.public, signature))


def lookalikes(label, addr):
    """Values that are bencoding in a wider sense would have another hash elsewhere. The integers
    are no bencoding at all: such a datagram may get no answer."""
    for name, value, may_be_silent in (
            ("unsorted keys", b"d1:bi1e1:ai2ee", False), ("a key twice", b"d1:ai1e1:ai2ee", False),
            ("a leading zero", b"i01e", True), ("a negative zero", b"i-0e", True)):
        token = ask(addr, "get", target=sha1(value))[b"token"]
        try:
            answer = ask(addr, "put", token=token, v=Raw(value), seconds=1)
        except TimeoutError:
            answer = 203 if may_be_silent else None
        check(f"{label}: a value with {name} is not stored",
              answer == 203 and b"v" not in ask(addr, "get", target=sha1(value)), answer)


# Ours, kept by them.


def ours(label, host):
    sessions, addrs = sessions_of(label, [host(n) for n in range(8)])
    entry = ",".join(text(addr) for addr in addrs[:3])
    bind = "[::1]:0" if ":" in addrs[0][0] else "127.0.0.1:0"

    def program(*args):
        # Not to be among them: libtorrent waits 15 s for each node that has gone.
        return tinybt(*args, "--read-only", "--bind", bind, "--bootstrap", entry, "--json",
                      seconds=90)

    done = program("put", "known by its hash")
    line = done.objects[-1]
    target = bytes.fromhex(line["target"])
    check(f"{label}: tinybt puts an immutable item at libtorrent nodes ({line['stored']})",
          done.code == 0 and line["stored"] >= 4 and not line["refused"] and line["key"] is None, line)
    check(f"{label}: libtorrent gets it",
          get_immutable(sessions[5], target) == b"known by its hash")
    done = program("get", target.hex())
    found = done.objects[0]
    check(f"{label}: tinybt gets it back", done.code == 0 and
          found["value"] == "known by its hash" and found["seq"] is None, found,
          we_ask(LT, "BEP 44 immutable"))
    nested = {b"a": [1, b"two", {b"three": -3}], b"b": b"\x00\xff"}
    target, put = put_immutable(sessions[2], nested)
    done = program("get", target.hex())
    check(f"{label}: tinybt gets what libtorrent put, of lists and numbers ({put} nodes)",
          done.code == 0 and done.objects[0]["bencoded"] == bencode(nested).hex(), done)
    done = program("get", "9" * 40)
    check(f"{label}: what nobody put is nothing", done.code == 1 and
          done.objects[-1]["summary"]["answered"] >= 4, done)

    with tempfile.TemporaryDirectory() as home:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            turns = [pool.submit(mutable, label, some, program, os.path.join(home, name), salt)
                     for some, name, salt in ((sessions[:3], "plain", ""),
                                              (sessions[3:6], "salted", "a salt"))]
        for turn in turns:
            turn.result()
        too_long = os.path.join(home, "value")
        with open(too_long, "wb") as file:
            file.write(b"v" * 997)
        check(f"{label}: tinybt puts no value of 1,001 bytes",
              program("put", "--file", too_long).code == 2)
        followed(label, program, os.path.join(home, "torrents"))
    for s in sessions:
        s.stop_dht()


def mutable(label, sessions, program, path, salt):
    """Versions of one item, by turns from tinybt and from libtorrent with the same key."""
    name = f"{label}: with a salt" if salt else f"{label}: without a salt"
    with_salt = ["--salt", salt] if salt else []
    first = "1" * 996

    def put(value, *args):
        done = program("put", "--key", path, *with_salt, *args, value)
        return done, done.objects[-1] if done.objects else {}

    done, line = put(first)
    with open(path, encoding="ascii") as file:
        key = Key(bytes.fromhex(file.read().strip()))
    check(f"{name}: the key in the file is the one that signs", line["key"] == key.public.hex())
    check(f"{name}: tinybt puts 1,000 bytes as version 1 ({line['stored']})",
          done.code == 0 and line["stored"] >= 4 and line["seq"] == 1, line)
    found = get_mutable_of(sessions, key, salt.encode(), 1)
    check(f"{name}: libtorrent gets version 1", found == first.encode(), found and len(found))
    done, line = put("two")
    check(f"{name}: tinybt finds version 1 and puts version 2",
          done.code == 0 and line["stored"] >= 4 and line["seq"] == 2, line)
    found = get_mutable_of(sessions, key, salt.encode(), 2)
    check(f"{name}: libtorrent gets version 2", found == b"two", found)
    stored = put_mutable(sessions[2], key, salt.encode(), b"three")
    check(f"{name}: libtorrent puts version 3 ({stored})", stored >= 4)
    done = program("get", key.public.hex(), *with_salt)
    versions = [line["seq"] for line in done.objects if "seq" in line]
    check(f"{name}: tinybt gets version 3", done.code == 0 and versions[-1:] == [3] and
          done.objects[len(versions) - 1]["value"] == "three", done, we_ask(LT, "BEP 44 mutable"))
    done, line = put("four", "--cas", "3")
    check(f"{name}: tinybt puts version 4 in place of 3",
          done.code == 0 and line["stored"] >= 4 and line["seq"] == 4, line)
    done, line = put("nine", "--cas", "2", "--seq", "9")
    check(f"{name}: in place of 2 it is not sent, since there is version 4",
          done.code == 2 and line.get("stored") == 0 and line.get("outdated") is True, done)
    done, line = put("old", "--seq", "2")
    check(f"{name}: version 2 is out of date", done.code == 2 and line.get("outdated") is True,
          (done, line))
    done, line = put("four")
    check(f"{name}: the same value keeps its number", done.code == 0 and line["seq"] == 4, line)
    found = get_mutable_of(sessions, key, salt.encode(), 4)
    check(f"{name}: libtorrent has version 4 in the end", found == b"four", found)


def followed(label, program, path):
    torrent = "ab" * 20
    done = program("put", "--key", path, "--torrent", torrent)
    key = done.objects[-1]["key"]
    done = program("follow", "--once", f"magnet:?xs=urn:btpk:{key}")
    check(f"{label}: a torrent is followed through libtorrent nodes", done.code == 0 and
          (done.objects[0]["info_hash"], done.objects[0]["seq"]) == (torrent, 1), done)
