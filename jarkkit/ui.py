"""What a notebook calls: widgets that only edit values, and displays that only show them.

Run headless (JARKKIT_HEADLESS is set), the same cells run without anybody there: a form returns
what it was given.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from html import escape
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.display import HTML, DisplayHandle, display

from jarkkit.checks import COLOUR, Report
from jarkkit.errors import JarkkitError
from jarkkit.form import Form
from jarkkit.home import find_home, sandbox_home
from jarkkit.kit import Kit
from jarkkit.records import Deployed, Event, Plan, Receipt, Where
from jarkkit.streams import drain
from jarkkit.terraform_messages import short_address

if TYPE_CHECKING:
    from jarkkit.pictures import Picture

R = TypeVar("R")
HEADLESS = "JARKKIT_HEADLESS"
_FRAME_SECONDS = 0.25


def headless() -> bool:
    """True when nobody is there to answer."""
    return bool(os.environ.get(HEADLESS))


# -- opening ---------------------------------------------------------------------------------------


def begin(deployment: str, *, rehearsal: bool) -> Kit:
    """Open the deployment, or make it. A rehearsal gets its sandbox started."""
    kit = Kit.create(deployment, rehearsal=rehearsal, exist_ok=True)
    return resume(deployment) if kit.rehearsal else kit


def resume(deployment: str) -> Kit:
    """Open a deployment that notebook 00 has made; starts its sandbox again when it has ended."""
    kit = Kit.open(deployment)
    if kit.rehearsal and not os.environ.get("AWS_ENDPOINT_URL"):
        from jarkkit.sandbox import control

        home = sandbox_home(find_home())
        if control.find(home) is None:
            control.start(home)
        kit = Kit.open(deployment)
    return kit


# -- asking ----------------------------------------------------------------------------------------


def form(kit: Kit, changes: Mapping[str, Any] | None = None) -> Form:
    """The settings as a form; its `value` is what stands in it. `changes` are filled in."""
    return Form(kit.settings.changed(changes or {}), editable=not headless())


@dataclass
class Confirmation:
    """Asks for the deployment's name to be typed; `value` is what was typed."""

    name: str
    given: str
    _box: Any = None

    @property
    def value(self) -> str:
        """What was given as the parameter, or typed."""
        return self.given or (self._box.value if self._box is not None else "")

    def _ipython_display_(self) -> None:
        if self.given or headless():
            display(HTML(f"<p>Confirmed: <code>{escape(self.given) or '(nothing)'}</code></p>"))
            return
        import ipywidgets

        self._box = ipywidgets.Text(
            placeholder=self.name,
            description=f"Type “{self.name}” to destroy it:",
            style={"description_width": "initial"},
            layout={"width": "32rem"},
        )
        display(self._box)


def confirmation(kit: Kit, given: str = "") -> Confirmation:
    """Ask for the confirmation that a cleanup needs."""
    return Confirmation(kit.name, given)


# -- following -------------------------------------------------------------------------------------


def follow(work: Generator[Event, None, R]) -> R:
    """Run a step and show its progress; leaves a summary in the saved notebook.

    Interrupting the kernel (the stop button) stops the step in order.
    """
    view = _Progress()
    try:
        return drain(work, view.show)
    finally:
        view.draw(final=True)


@dataclass
class _Progress:
    """A bar, what is being worked on, and what went wrong."""

    began: float = field(default_factory=time.monotonic)
    phase: str = ""
    done: int = 0
    total: int = 0
    seconds_left: float | None = None
    finished: int = 0
    active: dict[str, Event] = field(default_factory=dict)
    notes: list[Event] = field(default_factory=list)
    _handle: DisplayHandle | None = None
    _drawn: float = 0.0

    def show(self, event: Event) -> None:
        """Take an event in; draw at most four times a second."""
        self._take(event)
        if time.monotonic() - self._drawn >= _FRAME_SECONDS:
            self.draw()

    def _take(self, event: Event) -> None:
        if event.kind == "phase":
            self.phase = f"{event.subject} {event.message}".strip()
        if event.kind in ("message", "warning", "error"):
            self.notes.append(event)
        if event.kind in ("resource", "addon"):
            if event.status in ("done", "failed"):
                self.active.pop(event.subject, None)
                self.finished += event.status == "done"
            else:
                self.active[event.subject] = event
        if event.total is not None:
            self.done, self.total = event.done or 0, event.total
            self.seconds_left = event.seconds_left

    def draw(self, *, final: bool = False) -> None:
        """Draw it anew in its place."""
        self._drawn = time.monotonic()
        if final:
            self.active.clear()
            self.seconds_left = None
        page = HTML(self._html(final))
        if self._handle is None:
            self._handle = display(page, display_id=True)
        else:
            self._handle.update(page)

    def _html(self, final: bool) -> str:
        elapsed = time.monotonic() - self.began
        left = "" if self.seconds_left is None else f", about {_span(self.seconds_left)} left"
        head = f"{_span(elapsed)}{left}" if not final else f"took {_span(elapsed)}"
        bar = (
            f'<progress max="{self.total}" value="{self.done}" style="width:24rem"></progress> '
            f"{self.done} of {self.total}"
            if self.total
            else ""
        )
        rows = "".join(
            f"<tr><td style='text-align:left'>{escape(short_address(event.subject))}</td>"
            f"<td>{escape(event.action or '')}</td><td>{event.seconds or 0:.0f} s</td>"
            f"<td style='text-align:left'>{escape(event.message[:120])}</td></tr>"
            for event in list(self.active.values())[:12]
        )
        notes = "".join(
            f"<li style='color:{COLOUR['fail'] if note.kind == 'error' else 'inherit'}'>"
            f"{escape(f'{note.code} {note.message}'.strip()[:400])}</li>"
            for note in self.notes[-8:]
        )
        return (
            f"<div><strong>{escape(self.phase)}</strong> · {head}<br>{bar}"
            f"<table>{rows}</table><ul>{notes}</ul></div>"
        )


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


# -- showing ---------------------------------------------------------------------------------------


@singledispatch
def summary(value: object) -> HTML:
    """A value of the journey, for the reader."""
    raise TypeError(f"no summary for {type(value).__name__}")


@summary.register
def _(plan: Plan) -> HTML:
    rows = {
        area: ", ".join(sorted({change.type.removeprefix("aws_") for change in changes}))
        for area, changes in plan.by_area().items()
    }
    counts = {area: len(changes) for area, changes in plan.by_area().items()}
    lines = [(area, f"{counts[area]}", what) for area, what in rows.items()]
    note = f"On AWS this takes about {_span(plan.seconds)}." if lines else "Nothing to change."
    return _table(("Area", "Resources", "What"), lines, note)


@summary.register
def _(deployed: Deployed) -> HTML:
    shown = ("cluster_name", "cluster_version", "region", "availability_zones", "vpc_id")
    lines = [(name, _plain(deployed.outputs.get(name))) for name in shown]
    return _table(("Output", "Value"), lines, f"Deployed in {_span(deployed.seconds)}.")


@summary.register
def _(receipt: Receipt) -> HTML:
    word = "nothing is left" if receipt.clean else f"{len(receipt.left)} things are left"
    lines = [(item.terraform_type, item.import_id) for item in receipt.left]
    note = (
        f"{receipt.destroyed} resources destroyed in {_span(receipt.seconds)}; "
        f"{len(receipt.looked_at)} places looked at: {word}."
    )
    return _table(("Left", "Id"), lines, note)


@summary.register
def _(where: Where) -> HTML:
    return HTML(
        f"<p><strong>{escape(where.deployment)}</strong>: {escape(where.state)}. "
        f"{escape(where.summary)}<br>Next, on the command line: "
        f"<code>{escape(where.next_command)}</code></p>"
    )


def picture(value: Plan | Kit) -> Picture:
    """A plan's resources by area; a deployment's timeline of its last deploy."""
    from jarkkit import pictures  # half a second that only a notebook with a picture pays

    if isinstance(value, Plan):
        return pictures.plan_map(value)
    return pictures.timeline(last_run(value.events("deploy")), "seconds since the first resource")


def last_run(events: tuple[Event, ...]) -> tuple[Event, ...]:
    """The events since Terraform last began to change things."""
    begins = [
        index
        for index, event in enumerate(events)
        if event.kind == "phase"
        and event.subject in ("apply", "destroy")
        and event.status == "started"
    ]
    return events[begins[-1] :] if begins else events


def must(condition: object, what: str, fix: str) -> None:
    """The check at a notebook's end. Raises JK-NOTEBOOK-FAILED with the fix."""
    if not condition:
        raise JarkkitError("JK-NOTEBOOK-FAILED", f"Not so: {what}.", fix)
    display(HTML(f"<p style='color:{COLOUR['pass']}'>✔ {escape(what)}</p>"))


def report(value: Report | None) -> Report:
    """A report that must be there. Raises JK-NOTEBOOK-FAILED."""
    if value is None:
        raise JarkkitError("JK-NOTEBOOK-FAILED", "There is no report yet.", "Run the step first.")
    return value


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _table(head: Sequence[str], lines: Iterable[Sequence[str]], note: str) -> HTML:
    rows = "".join(f"<tr>{_cells('td', line)}</tr>" for line in lines)
    top = f"<thead><tr>{_cells('th', head)}</tr></thead>" if rows else ""
    return HTML(f"<table>{top}<tbody>{rows}</tbody></table><p>{escape(note)}</p>")


def _cells(tag: str, words: Sequence[str]) -> str:
    return "".join(f"<{tag} style='text-align:left'>{escape(word)}</{tag}>" for word in words)
