"""The CPU time of a kernel that shows the progress of a deploy.

    python -m benchmarks.progress [--seconds N]

A kernel as JupyterLab starts it follows a running step: this process writes its events, twenty a
second, of 140 resources. The figure is the kernel's CPU time minus that of an idle kernel. It does
not include the browser's drawing.

Prints a table of goals and figures. It reports and never fails: time depends on the machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from benchmarks.run import CLEAN, show
from jarkkit.deployment import Deployment
from jarkkit.model.clock import now
from jarkkit.model.records import Event

NAME = "bench"
RESOURCES, EVENTS_A_SECOND = 140, 20
GOALS = {"progress at 20 events/s (% of a core)": 2.0}
_JOIN = f"""
from jarkkit.notebook import ui
building = ui.start(ui.open({NAME!r}).deploy)
"""


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=30.0)
    seconds = options.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        idle, busy = measure(home, {**CLEAN, "JARKKIT_HOME": folder}, seconds)
    show({"progress at 20 events/s (% of a core)": max(busy - idle, 0.0)}, GOALS)
    return 0


def measure(home: Path, environ: dict[str, str], seconds: float) -> tuple[float, float]:
    """Return the kernel's CPU in % of a core: idle, and while it shows a step."""
    deployment = Deployment.create(NAME, rehearsal=False, home=home, environ=environ)
    own_process = psutil.Process()
    running_step = {
        "step": "deploy",
        "pid": own_process.pid,
        "created": own_process.create_time(),
        "offset": 0,
    }
    manager = KernelManager()
    manager.start_kernel(env=environ)
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(60)
        kernel = psutil.Process(manager.provisioner.pid)  # type: ignore[union-attr]
        execute(client, "from jarkkit.notebook import ui; import ipywidgets")
        idle = cpu_share(kernel, seconds / 2, iter(()), deployment)
        (deployment.folder / ".step.json").write_text(json.dumps(running_step))
        execute(client, _JOIN)
        return idle, cpu_share(kernel, seconds, events(), deployment)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def cpu_share(
    kernel: psutil.Process, seconds: float, stream: Iterator[Event], deployment: Deployment
) -> float:
    """Return the kernel's CPU in % of a core over some seconds, while events are written."""
    before, began = _cpu(kernel), time.monotonic()
    while (spent := time.monotonic() - began) < seconds:
        for _ in range(EVENTS_A_SECOND // 10):
            if event := next(stream, None):
                deployment.workspace.log(event)
        time.sleep(max(0.1 - (time.monotonic() - began - spent), 0.0))
    return 100 * (_cpu(kernel) - before) / (time.monotonic() - began)


def events() -> Iterator[Event]:
    """Yield events of resources that start, run and finish, repeatedly."""
    done = 0
    while True:
        for number in range(RESOURCES):
            for status in ("started", "running", "done"):
                done += status == "done"
                yield Event.model_validate(
                    {
                        "time": now(), "step": "deploy", "kind": "resource", "action": "create",
                        "subject": f'module.network[0].aws_subnet.private["zone-{number}"]',
                        "status": status, "seconds": 10.0, "done": done % RESOURCES,
                        "total": RESOURCES, "seconds_left": 600.0,
                    }
                )  # fmt: skip


def execute(client: BlockingKernelClient, code: str) -> None:
    """Run a cell to its end. Raises RuntimeError when it fails."""
    reply = client.execute_interactive(code, timeout=60, output_hook=lambda _: None)
    if reply["content"]["status"] != "ok":
        raise RuntimeError("\n".join(reply["content"]["traceback"]))


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    raise SystemExit(main())
