"""How long preflight and the Region survey take where every call takes its time.

    python -m benchmarks.preflight [--latency MS] [--peer]

The sandbox answers each call after 100 ms and refuses those that come faster than the real APIs'
published rates allow. Compared are the same calls side by side, as the kit makes them, and one
after the other, in the same run. With `--peer` aws-quota-checker, installed from the Python
registry into a folder of its own, looks at the quotas that both know.

Prints a table of goals and figures. It reports and never fails: time depends on the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.client import BaseClient

from benchmarks.run import CLEAN, show
from jarkkit.kit import Kit
from jarkkit.sandbox import control

NAME = "bench"
ROUNDS = 5
LATENCY_MS = 100.0
# Quotas that aws-quota-checker knows and preflight looks at, too.
PEER = "aws-quota-checker"
PEER_CHECKS = (
    "ec2_on_demand_standard_count,ec2_on_demand_g_count,ec2_eip_count,vpc_count,ig_count,"
    "sg_count,ni_count,eks_count,elb_nlb_count,iam_role_count"
)
GOALS = {
    "preflight of one Region (s)": 3.0,
    "survey of 17 Regions (s)": 10.0,
    "quotas again, from the cache (s)": 0.3,
    "survey again, from the cache (s)": 0.3,
}
AT_LEAST = {
    "preflight: one after the other / side by side": 10.0,
    "survey: one after the other / side by side": 10.0,
}


def main() -> int:
    """Measure everything."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    asked.add_argument("--latency", type=float, default=LATENCY_MS, help="milliseconds per call")
    asked.add_argument("--peer", action="store_true", help=f"measure {PEER}, too")
    options = asked.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        running = control.start(
            home / ".sandbox", account_only=True, latency_ms=options.latency, rate_limits=True
        )
        try:
            environ = {**CLEAN, **{k: v for k, v in running.env.items() if v}}
            Kit.create(NAME, rehearsal=True, home=home, environ=environ)
            bench = Bench(home, environ)
            figures |= bench.measure("preflight", "preflight of one Region", Kit.preflight)
            figures |= bench.measure("quotas", "quotas of one Region", Kit.quotas)
            figures |= bench.measure("survey", "survey of 17 Regions", Kit.regions)
            if options.peer:
                figures |= peer(home, environ)
        finally:
            control.stop(home / ".sandbox")
    show(figures, GOALS, AT_LEAST)
    return 0


@dataclass
class Bench:
    """A deployment in a slow account.

    Attributes:
        calls: how many were made.
    """

    home: Path
    environ: dict[str, str]
    folders: int = 0
    calls: list[str] = field(default_factory=list)

    def measure(self, name: str, title: str, ask: Callable[[Kit], Any]) -> dict[str, float]:
        """The question asked side by side, one after the other, and again."""
        self.seconds(ask)  # the sandbox makes a Region when somebody comes
        side_by_side = statistics.median(self.seconds(ask) for _ in range(ROUNDS))
        with one_after_the_other() as made:
            in_turn = self.seconds(ask)
        again = statistics.median(self.seconds(ask, anew=False) for _ in range(ROUNDS))
        return {
            f"{title} (s)": side_by_side,
            f"{name}: calls": float(len(made)),
            f"{name}: the same calls one after the other (s)": in_turn,
            f"{name}: one after the other / side by side": in_turn / side_by_side,
            f"{name} again, from the cache (s)": again,
        }

    def seconds(self, ask: Callable[[Kit], Any], *, anew: bool = True) -> float:
        """How long the answer takes; anew with a cache where nothing is."""
        self.folders += anew
        cache = self.home / f"answers-{self.folders}"
        environ = {**self.environ, "JARKKIT_ACCOUNT_CACHE": str(cache)}
        kit = Kit.open(NAME, home=self.home, environ=environ)
        gc.collect()  # the clients of the time before are garbage, which only a benchmark has
        began = time.perf_counter()
        ask(kit)
        return time.perf_counter() - began


@contextlib.contextmanager
def one_after_the_other() -> Iterator[list[str]]:
    """Only one call of the SDK at a time; yields the names of those that are made."""
    made: list[str] = []
    turn = threading.Lock()
    real: Any = BaseClient._make_api_call  # type: ignore[attr-defined]

    def call(client: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        with turn:
            made.append(operation)
            return real(client, operation, arguments)

    BaseClient._make_api_call = call  # type: ignore[attr-defined]
    try:
        yield made
    finally:
        BaseClient._make_api_call = real  # type: ignore[attr-defined]


def peer(home: Path, environ: dict[str, str]) -> dict[str, float]:
    """aws-quota-checker on the quotas that both know; nothing where it cannot be had."""
    folder = home / "peer"
    script = folder / "bin" / PEER
    try:
        run([sys.executable, "-m", "venv", str(folder)], CLEAN)
        run([str(folder / "bin" / "pip"), "install", "--quiet", PEER], CLEAN)
        began = time.perf_counter()
        run([str(script), "check", PEER_CHECKS], {**environ, "AWS_DEFAULT_REGION": "us-west-2"})
    except (OSError, subprocess.SubprocessError) as error:
        print(f"{PEER} is left out: {error}", file=sys.stderr)
        return {}
    return {f"{PEER}, {len(PEER_CHECKS.split(','))} quotas (s)": time.perf_counter() - began}


def run(line: list[str], environ: dict[str, str]) -> None:
    """A command; it must end well, in ten minutes."""
    subprocess.run(
        line,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=600,
    )


if __name__ == "__main__":
    sys.exit(main())
