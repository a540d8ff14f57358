"""Records a step while it runs: a ledger entry before and after, every event in between, and the
lock that keeps a second process out."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator
from typing import TypeVar

from jarkkit.model.account_ids import mask_account_ids
from jarkkit.model.clock import monotonic, now
from jarkkit.model.errors import Interrupted, JarkkitError
from jarkkit.model.events import StepEvent, StepMessage, stamp_all, stamped
from jarkkit.model.records import DurationRange, Event, LedgerEntry, Step
from jarkkit.ports.workspace import Workspace

_logger = logging.getLogger(__name__)

R = TypeVar("R")


def recorded(
    workspace: Workspace,
    step: Step,
    work: Generator[StepEvent, None, R],
    *,
    digest: str = "",
    expected: DurationRange | None = None,
) -> Generator[Event, None, R]:
    """Run `work` as the deployment's only writer, recorded in ledger and events.

    Its events get their step and time here, once.

    The entry `started` is on disk before the work begins. If it has no counterpart, the next run
    knows that the process died. `expected` is the estimated duration.
    """
    with workspace.exclusive_lock():
        began = monotonic()
        log_started(workspace.name, step)
        workspace.record(
            LedgerEntry(
                time=now(),
                step=step,
                status="started",
                pid=os.getpid(),
                digest=digest,
                expected=expected,
            )
        )

        def ended(status: str, error: JarkkitError | None = None) -> None:
            seconds = round(monotonic() - began, 1)
            reason = f": {error.code} {error.message}".rstrip() if error else ""
            log_ended(workspace.name, step, f"{status} after {seconds} s{reason}")
            details = {**error.as_dict(), "subjects": error.subjects} if error else {}
            workspace.record(
                LedgerEntry.model_validate(
                    {
                        "time": now(),
                        "step": step,
                        "status": status,
                        "digest": digest,
                        "seconds": seconds,
                        **details,
                    }
                )
            )

        try:
            result = yield from stamp_all(work, step, workspace.log)
        except JarkkitError as error:
            workspace.log(stamped(StepMessage(error.message, "error", error.code), step))
            ended("interrupted" if isinstance(error, Interrupted) else "failed", error)
            raise
        except (KeyboardInterrupt, GeneratorExit):
            ended("interrupted", Interrupted("JK-INTERRUPTED", "", ""))
            raise
        except Exception as error:
            ended("failed", JarkkitError("JK-INTERNAL", repr(error), ""))
            raise
        ended("finished")
        return result


def log_started(deployment: str, step: Step) -> None:
    """Write the start of a step to the log."""
    _logger.info("%s: %s started", deployment, step)


def log_ended(deployment: str, step: Step, outcome: str) -> None:
    """Write the end of a step to the log."""
    _logger.info("%s: %s %s", deployment, step, mask_account_ids(outcome))
