"""Will it work here? Asked before anything is created, and never stopping at the first no."""

from __future__ import annotations

from jarkkit.checks import Report
from jarkkit.steps.preflight import account, addons, machine
from jarkkit.steps.preflight.asking import Look, ask

__all__ = ["Look", "preflight", "tools"]

QUESTIONS = (*machine.QUESTIONS, *account.QUESTIONS, *addons.QUESTIONS)


def preflight(look: Look) -> Report:
    """Ask everything."""
    return Report(title="Will it work here?", checks=ask(QUESTIONS, look))


def tools(look: Look) -> Report:
    """Only the questions about this machine."""
    return Report(title="Is this machine ready?", checks=ask(machine.QUESTIONS, look))
