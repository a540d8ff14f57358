"""Progress in a notebook: widgets while a step runs, plain HTML and text in the saved notebook.

It uses stock ipywidgets and no browser code of its own, so that it looks the same in JupyterLab, on
JupyterHub and in VS Code. Only changes are sent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from IPython.display import DisplayHandle, display

from jarkkit.decisions.redaction import Redactor, sensitive_values
from jarkkit.decisions.step_progress import Outcome, StepProgress
from jarkkit.model.account_ids import mask_account_ids
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Event
from jarkkit.notebook.ui.open_deployment import is_headless
from jarkkit.ports.paths import find_home, local_paths
from jarkkit.render import progress as progress_html

FRAME_SECONDS = 0.5

Lines = Callable[[], Sequence[str]]


class LiveDisplay:
    """Live display of a step's progress in the running cell. Thread-safe.

    Args:
        stop: stops the step cleanly; without it there is no button.
        raw_log: the last lines of Terraform's output. Without it no logs are shown, because a busy
            kernel does not receive the event that you expanded them.
    """

    def __init__(
        self,
        progress: StepProgress,
        *,
        stop: Callable[[], None] | None = None,
        raw_log: Lines | None = None,
    ) -> None:
        self.progress = progress
        self._lock = threading.Lock()
        self._redactor = Redactor(sensitive_values(local_paths(find_home())))
        self._widgets = None if is_headless() else _Widgets(stop, raw_log)
        self._handle: DisplayHandle | None = None

    def show(self) -> None:
        """Show the display in the running cell."""
        self._handle = display(self._bundle(live=True), raw=True, display_id=True)

    def add(self, event: Event) -> None:
        """Add an event; it is drawn with the next frame."""
        with self._lock:
            self.progress.add(event)

    def draw(self) -> None:
        """Send the changes to the browser."""
        if self._widgets is None:
            return
        now = time.time()
        with self._lock:
            parts = {
                "head": progress_html.status_line(self.progress, now),
                "troubles": progress_html.problems(self.progress),
                "table": progress_html.table(self.progress, now),
            }
            log = list(self.progress.log)
        self._widgets.update({name: self._clean(part) for name, part in parts.items()})
        self._widgets.update_logs(lambda lines: self._clean(progress_html.log(lines)), log)

    def close(self, outcome: Outcome, error: JarkkitError | None = None) -> None:
        """Replace the live display by the summary, after the step has ended."""
        with self._lock:
            self.progress.finish(outcome, time.time(), error)
        if self._widgets is not None:
            self._widgets.end(self._clean(progress_html.summary(self.progress, time.time())))
        if self._handle is not None:
            self._handle.update(self._bundle(live=False), raw=True)

    def _bundle(self, *, live: bool) -> dict[str, Any]:
        """Return the representations. A front end picks one; a code host takes HTML or text."""
        now = time.time()
        with self._lock:
            data: dict[str, Any] = {
                "text/html": self._clean(progress_html.summary(self.progress, now)),
                "text/plain": self._clean(progress_html.text(self.progress, now)),
            }
        if live and self._widgets is not None:
            data = {**self._widgets.bundle(), **data}
        return data

    def _clean(self, text: str) -> str:
        """Remove account ids and local paths, because people share notebooks."""
        return mask_account_ids(self._redactor.text(text))


class _Widgets:
    """The widgets: HTML boxes, logs and the stop button."""

    def __init__(self, stop: Callable[[], None] | None, raw_log: Lines | None) -> None:
        import ipywidgets as w

        self._raw_log = raw_log
        self._parts = {name: w.HTML() for name in ("head", "troubles", "table")}
        self._logs = (w.HTML(), w.HTML())
        self._accordion = w.Accordion(
            [w.Box([log], layout=_scrolled("16rem")) for log in self._logs]
        )
        self._accordion.titles = ("Events", "Terraform output")
        self._accordion.selected_index = None
        rows = [self._parts["head"], self._parts["troubles"]]
        rows += [_stop_button(w, stop)] if stop is not None else []
        rows += [w.Box([self._parts["table"]], layout=_scrolled("22rem"))]
        rows += [self._accordion] if raw_log is not None else []
        self._box = w.VBox(rows, layout={"max_width": "70rem"})

    def bundle(self) -> dict[str, Any]:
        """Return the widget's representation, for front ends that can show widgets."""
        return dict(self._box._repr_mimebundle_())

    def update(self, parts: dict[str, str]) -> None:
        """Update the parts; ipywidgets sends only the traits whose value changes."""
        for name, part in parts.items():
            self._parts[name].value = part

    def update_logs(self, render: Callable[[list[str]], str], events: list[str]) -> None:
        """Update the expanded log only: the others cost nothing."""
        index = self._accordion.selected_index
        if index is not None and self._raw_log is not None:
            self._logs[index].value = render(list(self._raw_log()) if index else events)

    def end(self, summary: str) -> None:
        """Leave only the summary, also in a page that was reloaded meanwhile."""
        self._parts["head"].value = summary
        self._box.children = (self._parts["head"],)


def _stop_button(w: Any, stop: Callable[[], None]) -> Any:
    button = w.Button(
        description="Stop",
        icon="stop",
        tooltip="Stop cleanly: calls in progress finish, and Terraform saves its state",
    )
    message = w.HTML()

    def pressed(_: object) -> None:
        button.disabled = True
        button.description = "Stopping"
        message.value = (
            "Terraform finishes its calls and saves its state. To continue, run the cell again."
        )
        stop()

    button.on_click(pressed)
    return w.HBox([button, message])


def _scrolled(height: str) -> dict[str, str]:
    return {"max_height": height, "overflow": "auto", "width": "100%"}
