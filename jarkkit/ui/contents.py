"""The table of contents: the notebooks, and what of them is done in this deployment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from jarkkit.checks import COLOUR
from jarkkit.home import notebooks_folder
from jarkkit.kit import Kit
from jarkkit.records import Entry, Step

Mark = Literal["done", "failed", "running", "again", ""]

# The step that a notebook is about, by its number.
_STEPS: dict[str, Step] = {
    "01": "preflight",
    "02": "configure",
    "03": "plan",
    "04": "deploy",
    "05": "verify",
    "06": "use",
    "08": "cleanup",
}
_SHOWN: dict[Mark, tuple[str, str]] = {
    "done": ("✔", "done"),
    "failed": ("✘", "failed"),
    "running": ("…", "under way"),
    "again": ("↻", "to be done again"),
    "": ("", ""),
}
_COLOUR = {"done": COLOUR["pass"], "failed": COLOUR["fail"], "again": COLOUR["warn"]}


@dataclass(frozen=True)
class Contents:
    """The notebooks in their order, each with its mark."""

    deployment: str
    lines: tuple[tuple[str, Mark], ...]

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td style='text-align:left'>"
            f"<a href='{escape(name)}.ipynb'>{_title(name)}</a></td>"
            f"<td style='text-align:left;color:{_COLOUR.get(mark, 'inherit')}'>"
            f"{' '.join(_SHOWN[mark])}</td></tr>"
            for name, mark in self.lines
        )
        return (
            f"<table><thead><tr><th scope='col' style='text-align:left'>Notebook</th>"
            f"<th scope='col' style='text-align:left'>{escape(self.deployment)}</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>"
        )

    def __repr__(self) -> str:
        shown = (f"{' '.join(_SHOWN[mark]):20} {_title(name)}" for name, mark in self.lines)
        return "\n".join([self.deployment, *shown])


def contents(kit: Kit) -> Contents:
    """The notebooks with links, and how far this deployment is. Calls nobody."""
    names = [path.stem for path in sorted(notebooks_folder().glob("[0-9][0-9]-*.ipynb"))]
    steps = marks_of(kit.entries(), kit.settings.digest(), running=kit.workspace.busy)
    marks = {number: steps.get(step, "") for number, step in _STEPS.items()}
    marks["00"] = "done"  # it has made the deployment whose contents these are
    marks["07"] = "done" if kit.last_report("diagnose") else ""  # no step: it changes nothing
    return Contents(kit.name, tuple((name, marks.get(name[:2], "")) for name in names))


def marks_of(entries: Sequence[Entry], digest: str, *, running: bool) -> dict[Step, Mark]:
    """What became of each step, by the ledger. Pure.

    A plan and a deploy are of certain settings: when these have changed they are to be done again.
    What was looked at before the last deploy, too; and after a cleanup nothing of it counts.

    Args:
        digest: of the settings as they are now.
        running: somebody is at work on the deployment.
    """
    last = {entry.step: index for index, entry in enumerate(entries)}
    marks: dict[Step, Mark] = {s: _of(entries[i], digest, running=running) for s, i in last.items()}
    if "configure" in last and last["configure"] < last.get("preflight", -1):
        marks["configure"] = "done" if marks.get("plan") == "done" else ""
    looks: tuple[Step, ...] = ("verify", "use")
    for step in looks:
        if step in last and last[step] < last.get("deploy", -1):
            marks[step] = "again"
    if last.get("cleanup", -1) < last.get("deploy", -1):
        marks.pop("cleanup", None)  # it was about what was there before
    elif marks.get("cleanup") == "done":
        gone: tuple[Step, ...] = ("plan", "deploy", "verify", "use")
        marks = {s: m for s, m in marks.items() if s not in gone or last[s] > last["cleanup"]}
    return marks


def _of(entry: Entry, digest: str, *, running: bool) -> Mark:
    if entry.status == "started":
        return "running" if running else "failed"
    if entry.status != "finished":
        return "failed"
    stale = entry.step in ("plan", "deploy") and entry.digest != digest
    return "again" if stale else "done"


def _title(name: str) -> str:
    number, _, rest = name.partition("-")
    return escape(f"{number} · {rest.replace('-', ' ').capitalize()}")
