"""Print results and progress to a terminal or a log."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, TypeVar

from jarkkit.model.errors import CODES, JarkkitError
from jarkkit.model.step_generators import run_to_end

if TYPE_CHECKING:
    from pydantic import BaseModel

    from jarkkit.deployment import Deployment
    from jarkkit.model.checks import Report
    from jarkkit.model.records import Event, Plan, Receipt

R = TypeVar("R")


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
    print_record(report, text(report), as_json=as_json)
    return 0 if report.ok else 1


def status(deployment: Deployment, *, as_json: bool) -> None:
    """Print the state of a deployment."""
    from jarkkit.render.text import status_text

    found = deployment.status(ask=True)
    print_record(found, status_text(found, rehearsal=deployment.rehearsal), as_json=as_json)


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
    print_record(made, text(made), as_json=as_json)


def receipt(made: Receipt, proof: Report | None, *, as_json: bool) -> None:
    """Print the receipt of a cleanup, and the proof if parts could not be checked."""
    parts = [text(made)]
    if (made.kept or not made.clean) and proof is not None:
        parts.append(text(proof))
    print_record(made, "\n".join(parts), as_json=as_json)


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
    if line := text(event):
        info(line)


def text(value: object) -> str:
    """Return a value as text; the renderer is imported by the commands that need it."""
    from jarkkit.render.text import text

    return text(value)
