"""What a step reports while it works: phases, Terraform resources, add-ons and messages.

The layers below a step yield these values and know neither the step nor the clock. `recorded`
(`steps/ledger.py`) stamps each once with both. The result is an `Event`, which is saved.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, field
from typing import Literal, TypeVar

from jarkkit.model.clock import now
from jarkkit.model.records import Action, Event, Step

R = TypeVar("R")
ProgressStatus = Literal["started", "running", "done", "failed"]


@dataclass(frozen=True)
class PhaseProgress:
    """A part of the step; `running` is a heartbeat."""

    subject: str
    status: ProgressStatus
    message: str = ""
    seconds: float | None = None
    kind: Literal["phase"] = field(default="phase", init=False)


@dataclass(frozen=True)
class ResourceProgress:
    """A Terraform resource.

    Attributes:
        subject: its address.
        action: what Terraform does to it.
        seconds: how long that has taken so far.
        done, total: number of finished and of all changes of the apply.
        seconds_left: estimate for the whole step; None without a basis for one.
        time: when it happened, as Terraform says; UTC, ISO 8601.
    """

    subject: str
    action: Action
    status: ProgressStatus
    seconds: float | None = None
    done: int | None = None
    total: int | None = None
    seconds_left: float | None = None
    time: str = ""
    kind: Literal["resource"] = field(default="resource", init=False)


@dataclass(frozen=True)
class AddonProgress:
    """An add-on of the cluster layer.

    Attributes:
        subject: its name.
        action: what the step does to it; `no-op` if it only checks it.
        seconds: how long that has taken so far.
        code: of the error that it failed with.
        done, total: number of add-ons that are ready, and of all.
        seconds_left: estimate for all add-ons; None without a basis for one.
    """

    subject: str
    action: Action
    status: ProgressStatus
    seconds: float | None = None
    message: str = ""
    code: str = ""
    done: int | None = None
    total: int | None = None
    seconds_left: float | None = None
    kind: Literal["addon"] = field(default="addon", init=False)


@dataclass(frozen=True)
class StepMessage:
    """A sentence about what happens, or about a problem.

    Attributes:
        kind: `error` is what Terraform reports, or what ends the step.
        subject: what it is about, if that is one resource, add-on or pod.
        time: when it happened, as Terraform says; UTC, ISO 8601. Empty for now.
    """

    message: str
    kind: Literal["message", "warning", "error"] = "message"
    code: str = ""
    subject: str = ""
    time: str = ""


StepEvent = PhaseProgress | ResourceProgress | AddonProgress | StepMessage


def warning(message: str, code: str = "", subject: str = "") -> StepMessage:
    """Return a warning."""
    return StepMessage(message, "warning", code, subject)


def stamped(event: StepEvent, step: Step) -> Event:
    """Return the event with its step and time, as it is saved."""
    values = asdict(event)
    return Event(**{**values, "step": step, "time": values.get("time") or now()})


def stamp_all(
    work: Generator[StepEvent, None, R], step: Step, save: Callable[[Event], None] | None = None
) -> Generator[Event, None, R]:
    """Yield each event of the work with its step and time, saved first, and return its value."""
    try:
        while True:
            try:
                event = stamped(next(work), step)
            except StopIteration as end:
                result: R = end.value
                return result
            if save is not None:
                save(event)
            yield event
    finally:
        work.close()
