"""The table of contents: the notebooks, and the progress of this deployment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from jarkkit.deployment import Deployment
from jarkkit.model.checks import COLOR
from jarkkit.model.records import LedgerEntry, Step
from jarkkit.ports.paths import notebooks_folder

StepMark = Literal["done", "failed", "running", "again", ""]

# The step of each notebook, by number.
_STEPS: dict[str, Step] = {
    "01": "preflight",
    "02": "configure",
    "03": "plan",
    "04": "deploy",
    "05": "verify",
    "06": "use",
    "08": "cleanup",
}
_SHOWN: dict[StepMark, tuple[str, str]] = {
    "done": ("✔", "done"),
    "failed": ("✘", "failed"),
    "running": ("…", "running"),
    "again": ("↻", "run again"),
    "": ("", ""),
}
_COLOR = {"done": COLOR["pass"], "failed": COLOR["fail"], "again": COLOR["warn"]}


@dataclass(frozen=True)
class TableOfContents:
    """The notebooks in order, each with its mark."""

    deployment: str
    lines: tuple[tuple[str, StepMark], ...]

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td style='text-align:left'>"
            f"<a href='{escape(name)}.ipynb'>{_title(name)}</a></td>"
            f"<td style='text-align:left;color:{_COLOR.get(mark, 'inherit')}'>"
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


def contents(deployment: Deployment) -> TableOfContents:
    """Return the notebooks with links and this deployment's progress. Makes no calls."""
    names = [path.stem for path in sorted(notebooks_folder().glob("[0-9][0-9]-*.ipynb"))]
    steps = step_marks(
        deployment.ledger_entries(),
        deployment.settings.digest(),
        running=deployment.workspace.is_locked,
    )
    marks = {number: steps.get(step, "") for number, step in _STEPS.items()}
    marks["00"] = "done"  # notebook 00 has created this deployment
    marks["07"] = (
        "done" if deployment.last_report("diagnose") else ""
    )  # not in the ledger: it changes nothing
    return TableOfContents(
        deployment.name, tuple((name, marks.get(name[:2], "")) for name in names)
    )


def step_marks(
    entries: Sequence[LedgerEntry], digest: str, *, running: bool
) -> dict[Step, StepMark]:
    """Return the mark of each step, from the ledger. Pure.

    A plan and a deploy belong to the settings that they used: after a change of settings, run them
    again. The same holds for verify and use after a deploy. A cleanup resets all of them.

    Args:
        digest: of the current settings.
        running: whether a step is running on the deployment.
    """
    last = {entry.step: index for index, entry in enumerate(entries)}
    marks: dict[Step, StepMark] = {
        s: _of(entries[i], digest, running=running) for s, i in last.items()
    }
    if "configure" in last and last["configure"] < last.get("preflight", -1):
        marks["configure"] = "done" if marks.get("plan") == "done" else ""
    checks: tuple[Step, ...] = ("verify", "use")
    for step in checks:
        if step in last and last[step] < last.get("deploy", -1):
            marks[step] = "again"
    if last.get("cleanup", -1) < last.get("deploy", -1):
        marks.pop("cleanup", None)  # it cleaned up an earlier deploy
    elif marks.get("cleanup") == "done":
        gone: tuple[Step, ...] = ("plan", "deploy", "verify", "use")
        marks = {s: m for s, m in marks.items() if s not in gone or last[s] > last["cleanup"]}
    return marks


def _of(entry: LedgerEntry, digest: str, *, running: bool) -> StepMark:
    if entry.status == "started":
        return "running" if running else "failed"
    if entry.status != "finished":
        return "failed"
    stale = entry.step in ("plan", "deploy") and entry.digest != digest
    return "again" if stale else "done"


def _title(name: str) -> str:
    number, _, rest = name.partition("-")
    return escape(f"{number} · {rest.replace('-', ' ').capitalize()}")
