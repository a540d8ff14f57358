"""Showing values and progress in a terminal, or in a log where there is none."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, TypeVar

from jarkkit.errors import CODES, JarkkitError
from jarkkit.streams import drain
from jarkkit.terraform_messages import short_address

if TYPE_CHECKING:
    from pydantic import BaseModel

    from jarkkit.checks import Report
    from jarkkit.kit import Kit
    from jarkkit.records import Event, Plan, Receipt

R = TypeVar("R")
_MARK = {"done": "✔", "failed": "✘", "started": "…", "running": "…"}


def out(text: str) -> None:
    """A line of data."""
    sys.stdout.write(text + "\n")


def say(text: str) -> None:
    """A line about what happens."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def value(record: BaseModel, text: str, *, as_json: bool) -> None:
    """A saved value: whole in JSON, in one line for people."""
    out(record.model_dump_json(indent=1) if as_json else text)


def report(found: Report, *, as_json: bool) -> int:
    """A report; returns the exit code."""
    value(found, found.text(), as_json=as_json)
    return 0 if found.ok else 1


def where(kit: Kit, *, as_json: bool) -> None:
    """Where a deployment stands."""
    stands = kit.status()
    kind = "rehearsal" if kit.rehearsal else "account"
    text = f"{stands.deployment} ({kind}): {stands.state}. {stands.summary}"
    value(stands, f"{text}\nnext: {stands.next_command}", as_json=as_json)


def all_of(kits: list[Kit], *, as_json: bool) -> None:
    """Where several deployments stand."""
    if as_json:
        out(json.dumps([kit.status().model_dump(mode="json") for kit in kits], indent=1))
        return
    for kit in kits:
        where(kit, as_json=False)


def plan(made: Plan, *, as_json: bool) -> None:
    """A plan by area."""
    lines = [
        f"  {area:14} {len(changes):4}  {_kinds([c.type for c in changes])}"
        for area, changes in made.by_area().items()
    ]
    total = len(made.pending)
    head = f"{total} resources to change" if total else "Nothing to change"
    took = f"; on AWS about {made.seconds / 60:.0f} min" if total else ""
    value(made, "\n".join([f"{head}{took}:" if total else f"{head}.", *lines]), as_json=as_json)


def _kinds(types: list[str]) -> str:
    names = sorted({name.removeprefix("aws_") for name in types})
    shown = ", ".join(names[:5])
    return f"{shown}, …" if len(names) > 5 else shown


def receipt(made: Receipt, proof: Report | None, *, as_json: bool) -> None:
    """The proof at the end."""
    unseen = f", {len(made.not_looked_at)} could not be looked at" if made.not_looked_at else ""
    text = (
        f"{made.destroyed} resources destroyed in {made.seconds:.0f} s. "
        f"{len(made.looked_at)} places looked at{unseen}: "
        f"{'nothing is left.' if not made.left else f'{len(made.left)} things are left.'}"
    )
    if made.not_looked_at and proof is not None:
        text += "\n" + proof.text()
    value(made, text, as_json=as_json)


def errors(code: str, *, as_json: bool) -> None:
    """The error codes."""
    wanted = code.upper()
    if wanted and wanted not in CODES:
        raise JarkkitError("JK-USAGE", f"There is no error code {code!r}.", "See: jarkkit errors")
    chosen = {wanted: CODES[wanted]} if wanted else CODES
    if as_json:
        out(json.dumps(chosen, indent=1))
        return
    for name, meaning in chosen.items():
        out(f"{name:24} {meaning}")


# -- progress --------------------------------------------------------------------------------------


def follow(work: Generator[Event, None, R], *, as_json: bool) -> R:
    """Run a step with its progress on stderr: a line per thing that ended."""
    return drain(work, quiet if as_json else progress)


def quiet(_: Event) -> None:
    """Shows nothing."""


def progress(event: Event) -> None:
    """One event as one line; heartbeats only where something takes long."""
    if line := line_of(event):
        say(line)


def line_of(event: Event) -> str:
    """The line for an event; empty for those that tell nothing new."""
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
    """An add-on that is through, or that takes long; not one that is as it was."""
    if event.action == "no-op" or event.status == "started":
        return ""
    if event.status == "running" and not _is_long(event):
        return ""
    mark, count = _MARK[event.status or "running"], f"[{event.done}/{event.total}]"
    code = f"{event.code} " if event.code else ""
    said = f": {code}{event.message[:200]}" if event.message else ""
    count = count if event.total else ""
    return f"  {mark} {count:9} {event.action} {event.subject} ({event.seconds or 0:.0f} s){said}"


def _is_long(event: Event) -> bool:
    seconds = event.seconds or 0
    return event.status == "running" and seconds >= 30 and round(seconds) % 30 < 10


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f"about {seconds / 60:.0f} min left in all"
