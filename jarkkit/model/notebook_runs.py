"""The result of a headless run. Saved as run.json."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from jarkkit.model.records import StepTiming


class NotebookResult(BaseModel):
    """The result of one notebook.

    Attributes:
        seconds: its run time.
        code: the error code if it failed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    status: Literal["ok", "failed", "skipped"]
    seconds: float = 0.0
    code: str = ""
    message: str = ""
    fix: str = ""


class NotebookRun(BaseModel):
    """A whole run; saved as run.json.

    Attributes:
        times: estimated and actual time of each deploy and cleanup.
        policies: names of the policies to which the simulated account limited the run.
        own_policies: True if it was limited to policies that you gave the sandbox instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    deployment: str
    rehearsal: bool
    started: str
    seconds: float
    notebooks: tuple[NotebookResult, ...]
    times: tuple[StepTiming, ...] = ()
    policies: tuple[str, ...] = ()
    own_policies: bool = False

    @property
    def ok(self) -> bool:
        """True if no notebook failed."""
        return all(ran.status != "failed" for ran in self.notebooks)

    @property
    def permissions(self) -> str:
        """A sentence about what the simulated account allowed; empty in a real account."""
        if not self.rehearsal:
            return ""
        if self.own_policies:
            return "The simulated account was limited to the policies that you gave the sandbox."
        if not self.policies:
            return "The simulated account was not limited to the policies of `jarkkit permissions`."
        return (
            "The simulated account allowed only what the policies of `jarkkit permissions` allow."
        )
