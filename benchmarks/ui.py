"""How fast the form appears and how fast it follows a change.

    python -m benchmarks.ui

Uses a kernel as JupyterLab starts it and a sandbox without control planes. The account's answers
are cached, as after an earlier run of the notebook. The benchmark sends a change as the browser
does; the time ends when the kernel is idle again. It does not include the browser's drawing.

Prints a table of goals and figures. It reports and never fails: time depends on the machine.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from benchmarks.run import CLEAN, show
from jarkkit.deployment import Deployment
from jarkkit.sandbox import daemon_client

NAME = "bench"
ROUNDS = 7
_TIMEOUT_SECONDS = 120.0
GOALS = {
    "form appears, warm kernel (s)": 1.5,
    "form follows a change, the slowest (ms)": 200.0,
}
# The changes: a section, the label of an input in it, the values.
CHANGES = (
    ("Add-ons", "Prometheus and Grafana", (False, True)),
    ("Accelerators", "g5 · NVIDIA A10G", (True, False)),
    ("Size", "Core nodes", (3, 2)),
    ("JupyterHub", "Concurrent users", (20, 1)),
    ("Network", "Availability Zones", (3, 9, 2)),
)
_FIND = """
def find(box, words):
    for each in (box, *getattr(box, "children", ())):
        if getattr(each, "description", "") == words and hasattr(each, "value"):
            return each.model_id
        if each is not box and (found := find(each, words)):
            return found
"""


def main() -> int:
    """Measure everything."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        running = daemon_client.start(home / ".sandbox", account_only=True)
        environ = {**CLEAN, **{k: v for k, v in running.env.items() if v}}
        manager = KernelManager(kernel_name="python3")
        try:
            Deployment.create(NAME, rehearsal=True, home=home, environ=environ).region_snapshot()
            manager.start_kernel(
                env={**environ, "JARKKIT_HOME": str(home)},
                cwd=str(home),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            figures = measure(Page(manager.client()))
        finally:
            manager.shutdown_kernel(now=True)
            daemon_client.stop(home / ".sandbox")
    show(figures, GOALS)
    return 0


class Page:
    """A client that uses the kernel as a browser does."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self._client = client
        client.start_channels()
        client.wait_for_ready(timeout=_TIMEOUT_SECONDS)

    def run(self, code: str) -> str:
        """Run a cell to its end; return its result."""
        return self._answer(self._client.execute(code))

    def change(self, model: str, value: Any) -> None:
        """Set a widget's value and wait until the kernel is idle."""
        data = {"method": "update", "state": {"value": value}, "buffer_paths": []}
        content = {"comm_id": model, "data": data}
        message = self._client.session.msg("comm_msg", content)
        self._client.shell_channel.send(message)
        self._answer(message["header"]["msg_id"])

    def _answer(self, request: str) -> str:
        result = ""
        while True:
            message = self._client.get_iopub_msg(timeout=_TIMEOUT_SECONDS)
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            if message["msg_type"] == "error":
                sys.exit("\n".join(content["traceback"]))
            if message["msg_type"] == "execute_result":
                result = content["data"]["text/plain"]
            if content.get("execution_state") == "idle":
                return result


def measure(page: Page) -> dict[str, float]:
    """Measure the form's times."""
    first = duration(lambda: page.run(f"from jarkkit.notebook import ui\njark = ui.open({NAME!r})"))
    cold = duration(lambda: page.run("form = ui.form(jark)\nform"))
    warm = [duration(lambda: page.run("form = ui.form(jark)\nform")) for _ in range(ROUNDS)]
    page.run(_FIND)
    durations = []
    for section, label, values in CHANGES:
        page.run(f"form.page.open({section!r})")
        model = page.run(f"find(form.page.box, {label!r})").strip("'")
        page.change(model, values[0])
        if page.run("bool(form.controller.draft.changed_names())") != "True":
            sys.exit(f"{label}: the form does not follow")
        for value in values * ROUNDS:
            durations.append(duration(lambda m=model, v=value: page.change(m, v)))
    return {
        "import and open, new kernel (s)": first,
        "form appears, new kernel (s)": cold,
        "form appears, warm kernel (s)": statistics.median(warm),
        "form follows a change, median (ms)": statistics.median(durations) * 1000,
        "form follows a change, the slowest (ms)": max(durations) * 1000,
    }


def duration(work: Any) -> float:
    """Return how long a call takes, in seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
