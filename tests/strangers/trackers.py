"""Strangers: `tinybt` asks trackers that are not ours; clients that are not ours ask our tracker.

Usage: trackers.py TINYBT [NODE_MODULES]. Needs the PyPI package `libtorrent` and a loopback; speaks
to nobody else. Used where they are on the PATH: opentracker, aquatic_udp, aquatic_http, aria2c,
transmission-daemon, and node for the npm package `bittorrent-tracker` in NODE_MODULES. What is not
there is told and passed over; fewer than two trackers are a failure.

Every wait is for a condition and ends at a deadline; every process is ended by its process id.
"""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile

from kit import PROCESSES, RESULTS, hosts_here, part
from their_clients import our_tracker
from their_trackers import no_trackers, their_trackers


def main():
    with tempfile.TemporaryDirectory() as scratch:
        try:
            hosts = hosts_here()
            their_trackers(pathlib.Path(scratch), hosts)
            part("trackers that are not there", no_trackers)
            our_tracker(pathlib.Path(scratch), hosts)
        finally:
            end_all()
    passed = sum(truth for _, truth in RESULTS)
    print(f"{passed} passed, {len(RESULTS) - passed} failed")
    return 0 if passed == len(RESULTS) else 1


def end_all():
    for process in PROCESSES:
        if process.poll() is None:
            process.kill()
            process.wait()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        code = main()
    except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
        print(f"FAIL {error}", file=sys.stderr)
        code = 1
    sys.stdout.flush()
    # libtorrent takes its time to say goodbye; nothing is left to wait for.
    os._exit(code)
