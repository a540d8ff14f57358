"""Questions about what will be installed."""

from __future__ import annotations

from jarkkit.addons import choice
from jarkkit.addons.order import needs
from jarkkit.checks import Check
from jarkkit.steps.preflight.asking import Look, Question, passed


def addons(look: Look) -> Check:
    """Add-ons fit together"""
    chosen = choice.chosen(look.settings)
    needs(chosen)
    return passed(f"{len(chosen)} add-ons")


def charts(look: Look) -> Check:
    """Charts of the add-ons"""
    if look.charts is None:
        return Check(name="", status="skip", found="this sandbox has no clusters")
    found = look.charts.require(choice.charts(look.settings))
    real = sum(archive.real for archive in found)
    stand_ins = len(found) - real
    return passed(f"{real} real" + (f", stand-ins for {stand_ins}" if stand_ins else ""))


QUESTIONS: tuple[Question, ...] = (addons, charts)
