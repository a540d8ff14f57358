"""Progress on the page: widgets while it lasts, plain HTML and text in the saved notebook.

Stock ipywidgets and nothing of our own in the browser, so that it looks the same in JupyterLab, on
a hub and in VS Code. Only what has changed is sent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from IPython.display import DisplayHandle, display

from jarkkit.errors import JarkkitError
from jarkkit.home import find_home
from jarkkit.masking import masked
from jarkkit.records import Event
from jarkkit.scrub import Scrub, words_of
from jarkkit.ui import drawing
from jarkkit.ui.opening import headless
from jarkkit.ui.progress import Outcome, Progress

FRAME_SECONDS = 0.5

Lines = Callable[[], Sequence[str]]


class Live:
    """Shows a progress in the cell that runs. Safe to use from several threads.

    Args:
        stop: stops the step in order; without it there is no button.
        raw_log: the last lines that Terraform wrote. Without it no logs are shown: a kernel that is
            busy does not hear that they were unfolded.
    """

    def __init__(
        self,
        progress: Progress,
        *,
        stop: Callable[[], None] | None = None,
        raw_log: Lines | None = None,
    ) -> None:
        self.progress = progress
        self._lock = threading.Lock()
        self._scrub = Scrub(words_of(find_home()))
        self._widgets = None if headless() else _Widgets(stop, raw_log)
        self._handle: DisplayHandle | None = None

    def show(self) -> None:
        """Begin, in the cell that is running now."""
        self._handle = display(self._bundle(live=True), raw=True, display_id=True)

    def take(self, event: Event) -> None:
        """One more event; drawn with the next frame."""
        with self._lock:
            self.progress.take(event)

    def draw(self) -> None:
        """Send what has changed."""
        if self._widgets is None:
            return
        now = time.time()
        with self._lock:
            parts = {
                "head": drawing.head(self.progress, now),
                "troubles": drawing.troubles(self.progress),
                "table": drawing.table(self.progress, now),
            }
            log = list(self.progress.log)
        self._widgets.update({name: self._clean(part) for name, part in parts.items()})
        self._widgets.update_logs(lambda lines: self._clean(drawing.log(lines)), log)

    def close(self, outcome: Outcome, error: JarkkitError | None = None) -> None:
        """It has ended: the summary takes the place of what moved."""
        with self._lock:
            self.progress.finish(outcome, time.time(), error)
        if self._widgets is not None:
            self._widgets.end(self._clean(drawing.summary(self.progress, time.time())))
        if self._handle is not None:
            self._handle.update(self._bundle(live=False), raw=True)

    def _bundle(self, *, live: bool) -> dict[str, Any]:
        """What a front end may choose from; a code host takes HTML or text."""
        now = time.time()
        with self._lock:
            data: dict[str, Any] = {
                "text/html": self._clean(drawing.summary(self.progress, now)),
                "text/plain": self._clean(drawing.text(self.progress, now)),
            }
        if live and self._widgets is not None:
            data = {**self._widgets.bundle(), **data}
        return data

    def _clean(self, text: str) -> str:
        """Without paths of this machine and account ids, because notebooks are passed on."""
        return masked(self._scrub.text(text))


class _Widgets:
    """The boxes and the button."""

    def __init__(self, stop: Callable[[], None] | None, raw_log: Lines | None) -> None:
        import ipywidgets as w

        self._raw_log = raw_log
        self._parts = {name: w.HTML() for name in ("head", "troubles", "table")}
        self._logs = (w.HTML(), w.HTML())
        self._folded = w.Accordion([w.Box([log], layout=_scrolled("16rem")) for log in self._logs])
        self._folded.titles = ("What happened", "What Terraform wrote")
        self._folded.selected_index = None
        rows = [self._parts["head"], self._parts["troubles"]]
        rows += [_stop_button(w, stop)] if stop is not None else []
        rows += [w.Box([self._parts["table"]], layout=_scrolled("22rem"))]
        rows += [self._folded] if raw_log is not None else []
        self._box = w.VBox(rows, layout={"max_width": "70rem"})

    def bundle(self) -> dict[str, Any]:
        """The widget for those front ends that can show it."""
        return dict(self._box._repr_mimebundle_())

    def update(self, parts: dict[str, str]) -> None:
        """Traits are sent only when their value changes."""
        for name, part in parts.items():
            self._parts[name].value = part

    def update_logs(self, render: Callable[[list[str]], str], happened: list[str]) -> None:
        """Only the log that is unfolded: the others cost nothing."""
        index = self._folded.selected_index
        if index is not None and self._raw_log is not None:
            self._logs[index].value = render(list(self._raw_log()) if index else happened)

    def end(self, summary: str) -> None:
        """Leave the summary, also in a page that was loaded anew meanwhile."""
        self._parts["head"].value = summary
        self._box.children = (self._parts["head"],)


def _stop_button(w: Any, stop: Callable[[], None]) -> Any:
    button = w.Button(
        description="Stop",
        icon="stop",
        tooltip="Stop in order: what is under way is finished, and the state is saved",
    )
    said = w.HTML()

    def pressed(_: object) -> None:
        button.disabled = True
        button.description = "Stopping"
        said.value = "Terraform finishes the calls it is in and saves its state. Then run it again."
        stop()

    button.on_click(pressed)
    return w.HBox([button, said])


def _scrolled(height: str) -> dict[str, str]:
    return {"max_height": height, "overflow": "auto", "width": "100%"}
