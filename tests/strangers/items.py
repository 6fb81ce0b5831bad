"""Strangers: items, scrapes and samples with libtorrent, and items with the crate mainline.

Usage: items.py TINYBT [MAINLINE]. Needs the PyPI package `libtorrent` and a loopback; speaks to
nobody else. Every wait ends at a deadline; every process is ended by its process id.
"""

import os
import sys
import threading

import their_items
import their_mainline
import their_swarms
from kit import PROCESSES, RESULTS, part, skip

V4 = {"host": lambda n: f"127.0.0.{21 + n}:6881", "single": lambda n: f"127.0.0.{51 + n}:6881",
      "ours": "127.0.0.100:6998"}
V6 = {"host": lambda n: f"[::1]:{6851 + n}", "single": lambda n: f"[::1]:{6861 + n}",
      "ours": "[::1]:6998"}


def parts():
    """Each a network of its own."""
    for name, family in (("ipv4", V4), ("ipv6", V6)):
        yield f"{name}: theirs", their_items.theirs, family["single"], family["ours"]
        yield f"{name}: ours", their_items.ours, family["host"]
    yield "swarms", their_swarms.ipv4
    if their_mainline.MAINLINE:
        yield "mainline: theirs", their_mainline.theirs
        yield "mainline: ours", their_mainline.ours
    else:
        skip("mainline: it is not there")


def main():
    # libtorrent waits 15 s for whoever is gone: all that waiting at once.
    threads = [threading.Thread(target=part, args=one) for one in parts()]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
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
