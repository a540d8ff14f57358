"""Writes down what a step does while it does it: the ledger entry before and after, every event
in between, and the lock that keeps a second process out."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

from jarkkit.clock import monotonic, now
from jarkkit.errors import JarkkitError
from jarkkit.records import Entry, Event, Seconds, Step
from jarkkit.workspace import Workspace

R = TypeVar("R")


def journaled(
    workspace: Workspace,
    step: Step,
    work: Generator[Event, None, R],
    *,
    digest: str = "",
    expected: Seconds | None = None,
) -> Generator[Event, None, R]:
    """Run `work` as the deployment's only writer, recorded in ledger and events.

    The entry `started` is on the disk before the work begins; one that has no counterpart tells
    the next run that the process died. `expected` is how long it was said to take.
    """
    with workspace.only_writer():
        began = monotonic()
        workspace.record(
            Entry(
                time=now(),
                step=step,
                status="started",
                pid=os.getpid(),
                digest=digest,
                expected=expected,
            )
        )

        def ended(status: str, error: JarkkitError | None = None) -> None:
            said = error.as_dict() if error else {}
            workspace.record(
                Entry.model_validate(
                    {
                        "time": now(),
                        "step": step,
                        "status": status,
                        "digest": digest,
                        "seconds": round(monotonic() - began, 1),
                        **said,
                    }
                )
            )

        try:
            result = yield from _logged(workspace, work)
        except JarkkitError as error:
            interrupted = error.code == "JK-INTERRUPTED"
            event = Event(
                time=now(), step=step, kind="error", message=error.message, code=error.code
            )
            workspace.log(event)
            ended("interrupted" if interrupted else "failed", error)
            raise
        except (KeyboardInterrupt, GeneratorExit):
            ended("interrupted", JarkkitError("JK-INTERRUPTED", "", ""))
            raise
        except Exception as error:
            ended("failed", JarkkitError("JK-INTERNAL", repr(error), ""))
            raise
        ended("finished")
        return result


def _logged(workspace: Workspace, work: Generator[Event, None, R]) -> Generator[Event, None, R]:
    try:
        while True:
            try:
                event = next(work)
            except StopIteration as end:
                result: R = end.value
                return result
            workspace.log(event)
            yield event
    finally:
        work.close()
