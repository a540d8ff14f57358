"""How long preflight and the Region comparison take when every call has a latency.

    python -m benchmarks.preflight [--latency MS] [--peer]

The sandbox answers each call after 100 ms and throttles calls beyond the published rates of the
real APIs. The benchmark compares jarkkit's concurrent calls with the same calls one by one, in
the same run. With `--peer`, aws-quota-checker, installed from the Python registry into a separate
folder, checks the quotas that both know.

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
from jarkkit.deployment import Deployment
from jarkkit.sandbox import daemon_client

NAME = "bench"
ROUNDS = 5
LATENCY_MS = 100.0
# Quotas that both aws-quota-checker and preflight check.
PEER = "aws-quota-checker"
PEER_CHECKS = (
    "ec2_on_demand_standard_count,ec2_on_demand_g_count,ec2_eip_count,vpc_count,ig_count,"
    "sg_count,ni_count,eks_count,elb_nlb_count,iam_role_count"
)
GOALS = {
    "preflight of one Region (s)": 3.0,
    "comparison of 17 Regions (s)": 10.0,
    "quotas again, from the cache (s)": 0.3,
    "comparison again, from the cache (s)": 0.3,
}
AT_LEAST = {
    "preflight: sequential / concurrent": 10.0,
    "comparison: sequential / concurrent": 10.0,
}


def main() -> int:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--latency", type=float, default=LATENCY_MS, help="milliseconds per call")
    parser.add_argument("--peer", action="store_true", help=f"measure {PEER}, too")
    options = parser.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        running = daemon_client.start(
            home / ".sandbox", account_only=True, latency_ms=options.latency, rate_limits=True
        )
        try:
            environ = {**CLEAN, **{k: v for k, v in running.env.items() if v}}
            Deployment.create(NAME, rehearsal=True, home=home, environ=environ)
            bench = Bench(home, environ)
            figures |= bench.measure("preflight", "preflight of one Region", Deployment.preflight)
            figures |= bench.measure("quotas", "quotas of one Region", Deployment.quota_table)
            figures |= bench.measure(
                "comparison", "comparison of 17 Regions", Deployment.compare_regions
            )
            if options.peer:
                figures |= measure_peer(home, environ)
        finally:
            daemon_client.stop(home / ".sandbox")
    show(figures, GOALS, AT_LEAST)
    return 0


@dataclass
class Bench:
    """A deployment in a slow account.

    Attributes:
        calls: the names of the calls.
    """

    home: Path
    environ: dict[str, str]
    folders: int = 0
    calls: list[str] = field(default_factory=list)

    def measure(
        self, name: str, title: str, query: Callable[[Deployment], Any]
    ) -> dict[str, float]:
        """Measure a query with concurrent calls, with sequential calls, and from the cache."""
        self.seconds(query)  # the sandbox creates a Region at its first call
        concurrent = statistics.median(self.seconds(query) for _ in range(ROUNDS))
        with sequential_calls() as calls:
            sequential = self.seconds(query)
        again = statistics.median(self.seconds(query, empty_cache=False) for _ in range(ROUNDS))
        return {
            f"{title} (s)": concurrent,
            f"{name}: calls": float(len(calls)),
            f"{name}: the same calls sequentially (s)": sequential,
            f"{name}: sequential / concurrent": sequential / concurrent,
            f"{name} again, from the cache (s)": again,
        }

    def seconds(self, query: Callable[[Deployment], Any], *, empty_cache: bool = True) -> float:
        """Return the seconds that a query takes, with an empty cache or the last one."""
        self.folders += empty_cache
        cache = self.home / f"answers-{self.folders}"
        environ = {**self.environ, "JARKKIT_ACCOUNT_CACHE": str(cache)}
        deployment = Deployment.open(NAME, home=self.home, environ=environ)
        gc.collect()  # the clients of the previous round are garbage, which only a benchmark has
        began = time.perf_counter()
        query(deployment)
        return time.perf_counter() - began


@contextlib.contextmanager
def sequential_calls() -> Iterator[list[str]]:
    """Allow the SDK one call at a time; yield the names of the calls."""
    calls: list[str] = []
    lock = threading.Lock()
    original: Any = BaseClient._make_api_call  # type: ignore[attr-defined]

    def call(client: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        with lock:
            calls.append(operation)
            return original(client, operation, arguments)

    BaseClient._make_api_call = call  # type: ignore[attr-defined]
    try:
        yield calls
    finally:
        BaseClient._make_api_call = original  # type: ignore[attr-defined]


def measure_peer(home: Path, environ: dict[str, str]) -> dict[str, float]:
    """Measure aws-quota-checker on the shared quotas; return nothing if it cannot be installed."""
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


def run(command: list[str], environ: dict[str, str]) -> None:
    """Run a command that must succeed within ten minutes."""
    subprocess.run(
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=600,
    )


if __name__ == "__main__":
    sys.exit(main())
