"""How fast the form appears, and how fast it follows a change.

    python -m benchmarks.ui

A kernel as JupyterLab starts it, beside a sandbox with an account alone. What the account answers
is in the cache, as it is when the notebook was run before. A change is sent as the browser sends
it, and the time ends when the kernel has nothing more to say; what the browser draws meanwhile is
not in it.

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
from jarkkit.kit import Kit
from jarkkit.sandbox import control

NAME = "bench"
ROUNDS = 7
_PATIENCE = 120.0
GOALS = {
    "form appears, warm kernel (s)": 1.5,
    "form follows a change, the slowest (ms)": 200.0,
}
# What is changed: a section, the label of its input there, the values.
CHANGES = (
    ("Add-ons", "Prometheus and Grafana", (False, True)),
    ("Accelerators", "g5 · NVIDIA A10G", (True, False)),
    ("Size", "Core nodes", (3, 2)),
    ("JupyterHub", "People at the same time", (20, 1)),
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
        running = control.start(home / ".sandbox", account_only=True)
        environ = {**CLEAN, **{k: v for k, v in running.env.items() if v}}
        manager = KernelManager(kernel_name="python3")
        try:
            Kit.create(NAME, rehearsal=True, home=home, environ=environ).prospect()
            manager.start_kernel(
                env={**environ, "JARKKIT_HOME": str(home)},
                cwd=str(home),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            figures = measure(Page(manager.client()))
        finally:
            manager.shutdown_kernel(now=True)
            control.stop(home / ".sandbox")
    show(figures, GOALS)
    return 0


class Page:
    """What a browser does with a kernel."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self._client = client
        client.start_channels()
        client.wait_for_ready(timeout=_PATIENCE)

    def run(self, code: str) -> str:
        """Run a cell to its end; what it gives."""
        return self._answer(self._client.execute(code))

    def change(self, model: str, value: Any) -> None:
        """Give a widget another value, and wait for all that follows."""
        data = {"method": "update", "state": {"value": value}, "buffer_paths": []}
        content = {"comm_id": model, "data": data}
        message = self._client.session.msg("comm_msg", content)
        self._client.shell_channel.send(message)
        self._answer(message["header"]["msg_id"])

    def _answer(self, request: str) -> str:
        given = ""
        while True:
            message = self._client.get_iopub_msg(timeout=_PATIENCE)
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            if message["msg_type"] == "error":
                sys.exit("\n".join(content["traceback"]))
            if message["msg_type"] == "execute_result":
                given = content["data"]["text/plain"]
            if content.get("execution_state") == "idle":
                return given


def measure(page: Page) -> dict[str, float]:
    """The form's times."""
    first = seconds(lambda: page.run(f"from jarkkit import ui\nkit = ui.resume({NAME!r})"))
    cold = seconds(lambda: page.run("form = ui.form(kit)\nform"))
    warm = [seconds(lambda: page.run("form = ui.form(kit)\nform")) for _ in range(ROUNDS)]
    page.run(_FIND)
    taken = []
    for section, words, values in CHANGES:
        page.run(f"form.page.open({section!r})")
        model = page.run(f"find(form.page.box, {words!r})").strip("'")
        page.change(model, values[0])
        if page.run("bool(form.desk.draft.changed())") != "True":
            sys.exit(f"{words}: the form does not follow")
        for value in values * ROUNDS:
            taken.append(seconds(lambda m=model, v=value: page.change(m, v)))
    return {
        "import and open, new kernel (s)": first,
        "form appears, new kernel (s)": cold,
        "form appears, warm kernel (s)": statistics.median(warm),
        "form follows a change, median (ms)": statistics.median(taken) * 1000,
        "form follows a change, the slowest (ms)": max(taken) * 1000,
    }


def seconds(work: Any) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
