"""Print results and progress to a terminal or a log."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, TypeVar

from jarkkit.decisions.plan_losses import change_name, loss_lines
from jarkkit.decisions.terraform_messages import short_address
from jarkkit.model.errors import CODES, JarkkitError
from jarkkit.model.records import ACTION_WORDS, AREAS
from jarkkit.model.step_generators import run_to_end

if TYPE_CHECKING:
    from pydantic import BaseModel

    from jarkkit.deployment import Deployment
    from jarkkit.model.checks import Report
    from jarkkit.model.records import Event, Plan, Receipt, ResourceChange

R = TypeVar("R")
_MARK = {"done": "✔", "failed": "✘", "started": "…", "running": "…"}


def out(text: str) -> None:
    """Write a line of data to stdout."""
    sys.stdout.write(text + "\n")


def info(text: str) -> None:
    """Write a line about progress to stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def print_record(record: BaseModel, text: str, *, as_json: bool) -> None:
    """Print a saved value: all of it as JSON, or the text for people."""
    out(record.model_dump_json(indent=1) if as_json else text)


def report(report: Report, *, as_json: bool) -> int:
    """Print a report; return the exit code."""
    print_record(report, report.text(), as_json=as_json)
    return 0 if report.ok else 1


def status(deployment: Deployment, *, as_json: bool) -> None:
    """Print the state of a deployment."""
    found = deployment.status(ask=True)
    kind = "rehearsal" if deployment.rehearsal else "account"
    text = f"{found.deployment} ({kind}): {found.state}. {found.summary}"
    print_record(found, f"{text}\nnext: {found.next_command}", as_json=as_json)


def statuses(deployments: list[Deployment], *, as_json: bool) -> None:
    """Print the states of several deployments."""
    if as_json:
        out(
            json.dumps(
                [deployment.status(ask=True).model_dump(mode="json") for deployment in deployments],
                indent=1,
            )
        )
        return
    for deployment in deployments:
        status(deployment, as_json=False)


def plan(made: Plan, *, as_json: bool) -> None:
    """Print a plan by action, with what it loses."""
    print_record(made, "\n".join(plan_lines(made)), as_json=as_json)


def plan_lines(made: Plan) -> list[str]:
    """Return a plan as text: what exists by name, what is new by area, then the losses."""
    if not made.pending:
        lines = ["Nothing to change."]
    else:
        counts = [f"{len(found)} {ACTION_WORDS[a]}" for a, found in made.by_action().items()]
        lines = [f"{', '.join(counts)}; on AWS about {made.seconds / 60:.0f} min:"]
    for action, changes in made.by_action().items():
        lines += ["", f"{len(changes)} {ACTION_WORDS[action]}:"]
        lines += _by_area(changes) if action in ("create", "import") else _by_name(changes)
    if made.removed_addons:
        lines += ["", f"Add-ons to remove, without their volumes: {', '.join(made.removed_addons)}"]
    return lines + _loss_lines(made)


def _by_area(changes: tuple[ResourceChange, ...]) -> list[str]:
    found = {area: [c for c in changes if c.area == area] for area in AREAS}
    return [
        f"  {area:14} {len(chosen):4}  {_names([short_address(c.address) for c in chosen])}"
        for area, chosen in found.items()
        if chosen
    ]


def _by_name(changes: tuple[ResourceChange, ...]) -> list[str]:
    return [
        f"  {change.area:14} {short_address(change.address)}: {change_name(change)}"
        + (f"; forced by {', '.join(change.forced_by)}" if change.forced_by else "")
        for change in changes
    ]


def _names(names: list[str]) -> str:
    shown = ", ".join(names[:8])
    return f"{shown}, and {len(names) - 8} more" if len(names) > 8 else shown


def _loss_lines(made: Plan) -> list[str]:
    if not made.losses:
        return []
    lines = ["", "What you lose:", *(f"  {line}" for line in loss_lines(made.losses))]
    if made.needs_confirmation:
        name = made.target.cluster_arn.rpartition("/")[2]
        lines += ["", f"Deploying it needs the name: jarkkit deploy {name} --confirm {name}"]
    return lines


def receipt(made: Receipt, proof: Report | None, *, as_json: bool) -> None:
    """Print the receipt of a cleanup, and the proof if parts could not be checked."""
    unchecked = f", {len(made.not_looked_at)} could not be checked" if made.not_looked_at else ""
    text = (
        f"{made.destroyed} resources destroyed in {made.seconds:.0f} s. "
        f"{len(made.looked_at)} locations checked{unchecked}: {made.verdict}."
    )
    if (made.kept or not made.clean) and proof is not None:
        text += "\n" + proof.text()
    print_record(made, text, as_json=as_json)


def errors(code: str, *, as_json: bool) -> None:
    """Print the error codes."""
    requested = code.upper()
    if requested and requested not in CODES:
        raise JarkkitError(
            "JK-USAGE", f"There is no error code {code!r}.", "List them: jarkkit errors"
        )
    selected = {requested: CODES[requested]} if requested else CODES
    if as_json:
        out(json.dumps(selected, indent=1))
        return
    for name, meaning in selected.items():
        out(f"{name:24} {meaning}")


# -- progress --------------------------------------------------------------------------------------


def follow(work: Generator[Event, None, R], *, as_json: bool) -> R:
    """Run a step to its end, with a line on stderr for each finished resource or add-on."""
    return run_to_end(work, ignore if as_json else progress)


def ignore(_: Event) -> None:
    """Print nothing."""


def progress(event: Event) -> None:
    """Print an event as one line; heartbeats only for long operations."""
    if line := event_line(event):
        info(line)


def event_line(event: Event) -> str:
    """Return the line for an event; empty for an event without news."""
    if event.kind == "resource":
        ended = event.status in ("done", "failed")
        if event.action == "read" or not (ended or _is_long(event)):
            return ""
        mark = _MARK[event.status or "running"]
        count = f"[{event.done}/{event.total}]" if event.total else ""
        left = f", {_left(event.seconds_left)}" if _is_long(event) else ""
        seconds = f"{event.seconds or 0:.0f} s{left}"
        return f"  {mark} {count:9} {event.action} {short_address(event.subject)} ({seconds})"
    if event.kind == "addon":
        return _addon_line(event)
    if event.kind == "phase":
        if event.status == "started":
            return f"{event.step}: {event.subject} {event.message}".rstrip()
        if event.status == "running":
            return f"  … {event.message}"
        return ""
    code = f"{event.code} " if event.code else ""
    return f"  {'✘' if event.kind == 'error' else '·'} {code}{event.message[:300]}"


def _addon_line(event: Event) -> str:
    """Return the line for an add-on that finished or takes long; empty for one without change."""
    if event.action == "no-op" or event.status == "started":
        return ""
    if event.status == "running" and not _is_long(event):
        return ""
    mark, count = _MARK[event.status or "running"], f"[{event.done}/{event.total}]"
    code = f"{event.code} " if event.code else ""
    message = f": {code}{event.message[:200]}" if event.message else ""
    count = count if event.total else ""
    return (
        f"  {mark} {count:9} {event.action} {event.subject} ({event.seconds or 0:.0f} s){message}"
    )


def _is_long(event: Event) -> bool:
    seconds = event.seconds or 0
    return event.status == "running" and seconds >= 30 and round(seconds) % 30 < 10


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f"about {seconds / 60:.0f} min left in total"
