"""The daemon process, `python -m jarkkit.sandbox HOME`, which `daemon_client` starts."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

from jarkkit.model.errors import JarkkitError
from jarkkit.sandbox import account_profiles
from jarkkit.sandbox.daemon import Daemon, DaemonOptions


def main() -> int:
    """Run until a signal, a stop request or, unless detached, the exit of the parent process."""
    parser = argparse.ArgumentParser(prog="jarkkit.sandbox")
    parser.add_argument("home", type=Path)
    parser.add_argument("--speed", type=float, default=0.0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--profile", default=account_profiles.DEFAULT)
    parser.add_argument("--fault", action="append", default=[])
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--account-only", action="store_true")
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds")
    parser.add_argument("--rate-limits", action="store_true")
    parser.add_argument("--policy", action="append", type=Path, default=[])
    parser.add_argument("--with-parent", action="store_true", help="exit when stdin closes")
    arguments = parser.parse_args()
    options = DaemonOptions(
        speed=arguments.speed,
        port=arguments.port,
        profile=arguments.profile,
        faults=tuple(arguments.fault),
        fresh=arguments.fresh,
        account_only=arguments.account_only,
        latency_ms=arguments.latency,
        rate_limits=arguments.rate_limits,
        policies=tuple(arguments.policy),
    )
    daemon = Daemon(arguments.home, options)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: daemon.stop())
    if arguments.with_parent:
        threading.Thread(target=_end_with_parent, args=(daemon,), daemon=True).start()
    try:
        daemon.run()
    except JarkkitError as error:
        sys.stderr.write(json.dumps(error.as_dict()) + "\n")
        return 1
    return 0


def _end_with_parent(daemon: Daemon) -> None:
    """Stop the daemon when stdin closes.

    The parent holds the other end of the pipe, which closes however the parent exits.
    """
    while os.read(0, 4096):  # not sys.stdin: its lock would still be held when Python exits
        pass
    daemon.stop()


if __name__ == "__main__":
    sys.exit(main())
