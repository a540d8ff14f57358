"""What earlier deployments of this home took, by the events that they have written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from jarkkit.durations.whole import Past, own
from jarkkit.records import Entry, Event, Timed
from jarkkit.workspace import Workspace

_TYPE = re.compile(r"\baws_[a-z0-9_]+")
# More runs say no more, and AWS changes.
_NEWEST = 20


def past_of(workspace: Workspace) -> Past:
    """Of all deployments beside this one, itself included, that are of the same kind: rehearsals
    take a rehearsal's time."""
    found: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for other in siblings(workspace):
        for event in other.events():
            if (part := _part(event)) and event.seconds is not None:
                found.setdefault(part, []).append((event.time, event.seconds))
    return Past(
        {part: tuple(s for _, s in sorted(took)[-_NEWEST:]) for part, took in found.items()}
    )


def past_on_aws(workspace: Workspace) -> Past:
    """The same where it counts for AWS: what rehearsals took says nothing about that."""
    return Past() if workspace.rehearsal else past_of(workspace)


def siblings(workspace: Workspace) -> list[Workspace]:
    """The deployments of the same home and kind."""
    folders: Iterable[Path] = sorted(workspace.folder.parent.glob("*/settings.yaml"))
    others = [Workspace(path.parent) for path in folders]
    return [other for other in others if other.rehearsal == workspace.rehearsal]


def took(workspace: Workspace, step: str, *, before: str = "") -> tuple[float, ...]:
    """Seconds of whole runs of a step in this home, those that began from nothing: a deploy that
    only looks takes no time.

    Args:
        before: only runs that ended before that time.
    """
    found: list[tuple[str, float]] = []
    for other in siblings(workspace):
        fresh = True
        for entry in other.entries():
            if entry.step in ("deploy", "cleanup") and entry.status != "started":
                if _counts(entry, step, fresh=fresh) and (not before or entry.time < before):
                    found.append((entry.time, entry.seconds or 0.0))
                fresh = entry.step == "cleanup" and entry.status == "finished"
    return tuple(seconds for _, seconds in sorted(found)[-_NEWEST:])


def timed(workspace: Workspace, since: str) -> tuple[Timed, ...]:
    """Deploys and cleanups that began since then: what was expected, and what they took."""
    found: list[Timed] = []
    begun: Entry | None = None
    for entry in workspace.entries():
        if entry.step not in ("deploy", "cleanup") or entry.time < since:
            continue
        if begun is not None and entry.status != "started":
            found[-1] = found[-1].model_copy(
                update={"status": entry.status, "seconds": entry.seconds}
            )
            begun = None
        else:
            begun = entry
            here = own(took(workspace, entry.step, before=entry.time))
            found.append(
                Timed(
                    step=entry.step,
                    status="started",
                    expected=entry.expected,
                    expected_here=here,
                )
            )
    return tuple(found)


def _counts(entry: Entry, step: str, *, fresh: bool) -> bool:
    whole = fresh if step == "deploy" else not fresh
    return entry.step == step and entry.status == "finished" and whole and bool(entry.seconds)


def _part(event: Event) -> tuple[str, str] | None:
    """Which part an event is the end of; None for others."""
    if event.status != "done":
        return None
    if event.kind == "addon" and event.action == "create":
        return "addon", event.subject
    if event.kind == "resource" and event.action in ("create", "delete"):
        kinds = _TYPE.findall(event.subject.split("[")[0])
        return (event.action, kinds[-1]) if kinds else None
    return None
