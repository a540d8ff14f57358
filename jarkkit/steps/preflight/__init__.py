"""Will it work here? Asked before anything is created, and never stopping at the first no."""

from __future__ import annotations

from jarkkit.checks import Report
from jarkkit.steps.preflight import (
    account,
    addons,
    capacity,
    cost_and_time,
    leftovers,
    machine,
    network,
    obstacles,
    permissions,
    quotas,
)
from jarkkit.steps.preflight.asking import Look, Question, ask, open_or_closed

__all__ = ["Look", "preflight", "tools"]

# By what they are about, in the order in which one would want to know.
QUESTIONS: dict[str, tuple[Question, ...]] = {
    "This machine": (*machine.QUESTIONS, *network.QUESTIONS),
    "Account and Region": (*account.QUESTIONS, *capacity.QUESTIONS),
    "Quotas": quotas.QUESTIONS,
    "Permissions": permissions.QUESTIONS,
    "In the way": (*obstacles.QUESTIONS, *leftovers.QUESTIONS),
    "Add-ons": addons.QUESTIONS,
    "Cost and time": cost_and_time.QUESTIONS,
}


def preflight(look: Look) -> Report:
    """Ask everything."""
    return Report(title="Will it work here?", checks=ask(QUESTIONS, open_or_closed(look)))


def tools(look: Look) -> Report:
    """Only the questions about this machine."""
    return Report(title="Is this machine ready?", checks=ask({"": machine.QUESTIONS}, look))
