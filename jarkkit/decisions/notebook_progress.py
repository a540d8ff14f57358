"""Which notebooks of a deployment are done, from its ledger. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jarkkit.model.records import LedgerEntry, Step

StepMark = Literal["done", "failed", "running", "again", ""]


@dataclass(frozen=True)
class TableOfContents:
    """The notebooks in order, each with its mark."""

    deployment: str
    lines: tuple[tuple[str, StepMark], ...]


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
