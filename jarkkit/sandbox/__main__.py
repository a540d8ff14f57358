"""The daemon's process: `python -m jarkkit.sandbox HOME`. Started by `jarkkit.sandbox.control`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

from jarkkit.errors import JarkkitError
from jarkkit.sandbox import profiles
from jarkkit.sandbox.server import Daemon, Options


def main() -> int:
    """Run until a signal, a stop request, or, unless detached, the end of the parent."""
    parser = argparse.ArgumentParser(prog="jarkkit.sandbox")
    parser.add_argument("home", type=Path)
    parser.add_argument("--speed", type=float, default=0.0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--profile", default=profiles.DEFAULT)
    parser.add_argument("--fault", action="append", default=[])
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--account-only", action="store_true")
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds")
    parser.add_argument("--rate-limits", action="store_true")
    parser.add_argument("--policy", action="append", type=Path, default=[])
    parser.add_argument("--with-parent", action="store_true", help="end when stdin ends")
    asked = parser.parse_args()
    options = Options(
        speed=asked.speed,
        port=asked.port,
        profile=asked.profile,
        faults=tuple(asked.fault),
        fresh=asked.fresh,
        account_only=asked.account_only,
        latency_ms=asked.latency,
        rate_limits=asked.rate_limits,
        policies=tuple(asked.policy),
    )
    daemon = Daemon(asked.home, options)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: daemon.stop())
    if asked.with_parent:
        threading.Thread(target=_end_with_parent, args=(daemon,), daemon=True).start()
    try:
        daemon.run()
    except JarkkitError as error:
        sys.stderr.write(json.dumps(error.as_dict()) + "\n")
        return 1
    return 0


def _end_with_parent(daemon: Daemon) -> None:
    """The parent holds the other end of stdin; however it ends, the pipe ends with it."""
    while os.read(0, 4096):  # not by sys.stdin, whose lock would be held when Python ends
        pass
    daemon.stop()


if __name__ == "__main__":
    sys.exit(main())
