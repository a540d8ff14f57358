"""Durations of earlier deployments in this home, from their recorded events."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from jarkkit.decisions.durations.estimate import PastDurations, range_of_runs
from jarkkit.model.records import Event, LedgerEntry, StepTiming
from jarkkit.ports.workspace import Workspace

_TYPE = re.compile(r"\baws_[a-z0-9_]+")
# More runs add no accuracy, and AWS changes over time.
_NEWEST = 20


def read_history(workspace: Workspace) -> PastDurations:
    """Collect the durations of all deployments in this home of the same kind, including this one.

    Rehearsals take a rehearsal's time, so they count only for rehearsals.
    """
    found: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for other in sibling_workspaces(workspace):
        for event in other.events():
            if (part := _part(event)) and event.seconds is not None:
                found.setdefault(part, []).append((event.time, event.seconds))
    return PastDurations(
        {part: tuple(s for _, s in sorted(took)[-_NEWEST:]) for part, took in found.items()}
    )


def history_on_aws(workspace: Workspace) -> PastDurations:
    """Collect the durations on AWS; a rehearsal has none, because its times differ from AWS."""
    return PastDurations() if workspace.rehearsal else read_history(workspace)


def sibling_workspaces(workspace: Workspace) -> list[Workspace]:
    """Return the deployments in the same home and of the same kind."""
    folders: Iterable[Path] = sorted(workspace.folder.parent.glob("*/settings.yaml"))
    others = [Workspace(path.parent) for path in folders]
    return [other for other in others if other.rehearsal == workspace.rehearsal]


def run_seconds(workspace: Workspace, step: str, *, before: str = "") -> tuple[float, ...]:
    """Return the seconds of a step's complete runs in this home.

    Only deploys that started from nothing count: a repeated deploy takes hardly any time.

    Args:
        before: only runs that ended before this time.
    """
    found: list[tuple[str, float]] = []
    for other in sibling_workspaces(workspace):
        fresh = True
        for entry in other.ledger_entries():
            if entry.step in ("deploy", "cleanup") and entry.status != "started":
                if _counts(entry, step, fresh=fresh) and (not before or entry.time < before):
                    found.append((entry.time, entry.seconds or 0.0))
                fresh = entry.step == "cleanup" and entry.status == "finished"
    return tuple(seconds for _, seconds in sorted(found)[-_NEWEST:])


def timed_runs(workspace: Workspace, since: str) -> tuple[StepTiming, ...]:
    """Return the deploys and cleanups that started since then, with estimate and duration."""
    found: list[StepTiming] = []
    begun: LedgerEntry | None = None
    for entry in workspace.ledger_entries():
        if entry.step not in ("deploy", "cleanup") or entry.time < since:
            continue
        if begun is not None and entry.status != "started":
            found[-1] = found[-1].model_copy(
                update={"status": entry.status, "seconds": entry.seconds}
            )
            begun = None
        else:
            begun = entry
            here = range_of_runs(run_seconds(workspace, entry.step, before=entry.time))
            found.append(
                StepTiming(
                    step=entry.step,
                    status="started",
                    expected=entry.expected,
                    expected_here=here,
                )
            )
    return tuple(found)


def _counts(entry: LedgerEntry, step: str, *, fresh: bool) -> bool:
    whole = fresh if step == "deploy" else not fresh
    return entry.step == step and entry.status == "finished" and whole and bool(entry.seconds)


def _part(event: Event) -> tuple[str, str] | None:
    """Return the part that ends with this event; None for other events."""
    if event.status != "done":
        return None
    if event.kind == "addon" and event.action == "create":
        return "addon", event.subject
    if event.kind == "resource" and event.action in ("create", "delete"):
        kinds = _TYPE.findall(event.subject.split("[")[0])
        return (event.action, kinds[-1]) if kinds else None
    return None
