"""Strangers: nodes of bittorrent-dht, mainline and librqbit-dht, and downloads through our nodes.

Usage: nodes.py TINYBT NODE_MODULES [FIELD]. Needs the PyPI package `libtorrent` and a loopback;
speaks to nobody else. FIELD is the program of tests/field, whose nodes are mainline's and rqbit's.
What is not there is told and passed over. Every process is ended by its process id.
"""

import os
import pathlib
import shutil
import sys
import tempfile
import threading
import time

import their_nodes
from kit import DEADLINE, NODE_MODULES, PROCESSES, RESULTS, check, part, skip

FIELD = sys.argv[3] if len(sys.argv) > 3 and os.path.exists(sys.argv[3]) else None
HERE = os.path.dirname(os.path.abspath(__file__))


def parts(scratch):
    """Each a network of its own, whose third number of an address is given."""
    if shutil.which("node") and os.path.isdir(os.path.join(NODE_MODULES, "bittorrent-dht")):
        script = os.path.join(HERE, "bittorrent_dht.mjs")
        command = lambda addr, bootstrap: ["node", script, NODE_MODULES, addr, bootstrap]
        yield "bittorrent-dht", their_nodes.met, "bittorrent-dht", 61, command
        yield "bittorrent-dht, items", their_nodes.items, "bittorrent-dht", 62, command
    else:
        skip("bittorrent-dht: not installed")
    for net, name, word in ((63, "mainline", "mainline"), (64, "librqbit-dht", "librqbit")):
        if FIELD:
            yield (name, their_nodes.met, name, net,
                   lambda addr, bootstrap, word=word: [FIELD, "node", word, addr, bootstrap])
        else:
            skip(f"{name}: it is not built")
    yield ("libtorrent's download", their_nodes.download, "libtorrent", scratch, 65,
           their_nodes.libtorrent)
    for net, name, program, start in ((66, "aria2", "aria2c", their_nodes.aria2),
                                      (67, "rtorrent", "rtorrent", their_nodes.rtorrent)):
        if shutil.which(program):
            yield f"{name}'s download", their_nodes.download, name, scratch, net, start
        else:
            skip(f"{name}: not installed")


def main():
    with tempfile.TemporaryDirectory() as scratch:
        threads = [threading.Thread(target=part, args=one, name=one[0], daemon=True)
                   for one in parts(pathlib.Path(scratch))]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(max(0, DEADLINE - time.monotonic()))
                if thread.is_alive():
                    check(f"{thread.name}: it does not end", False)
        finally:
            for process in PROCESSES:
                if process.poll() is None:
                    process.kill()
                    process.wait()
    passed = sum(truth for _, truth in RESULTS)
    print(f"{passed} passed, {len(RESULTS) - passed} failed")
    return 0 if passed == len(RESULTS) else 1


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # libtorrent takes its time to say goodbye; nothing is left to wait for.
    os._exit(code)
