"""Questions about capacity, where a pool wants Spot or reserved instances."""

from __future__ import annotations

from collections.abc import Iterator

from jarkkit.checks import Check, Status
from jarkkit.inquiries import capacity
from jarkkit.steps.preflight.asking import Look, Question
from jarkkit.survey import Signal

_STATUS: dict[bool | None, Status] = {True: "pass", False: "warn", None: "unknown"}
_WHY = {
    "spot": "Spot capacity comes and goes; a score is a sign and no promise.",
    "reserved": "A pool with reserved capacity alone launches nothing without a reservation.",
}
_FIX = {
    "spot": "Let the pool buy on-demand, too (capacity), or look elsewhere: jarkkit regions",
    "reserved": "Reserve capacity or buy a Capacity Block, and name it in capacity_reservations.",
}


def signs_of_capacity(look: Look) -> Iterator[Check]:
    """Capacity"""
    pools = look.settings.accelerators
    patterns = [f"{pool.family}.*" for pool in pools if set(pool.capacity) - {"on-demand"}]
    if patterns:
        here = look.settings.region
        types = {here: look.account.offers.types(patterns)}
        found = capacity.signals(look.account, {here: look.account}, look.settings, types)
        yield from map(_judged, found[here])


def _judged(signal: Signal) -> Check:
    well = signal.good is True
    name = "Spot capacity" if signal.kind == "spot" else "Reserved capacity"
    return Check(
        name=f"{name} for {signal.wanted}",
        status=_STATUS[signal.good],
        found=signal.said,
        why="" if well else _WHY[signal.kind],
        fix="" if well else _FIX[signal.kind],
        code="JK-AWS-CAPACITY" if signal.good is False else "",
    )


QUESTIONS: tuple[Question, ...] = (signs_of_capacity,)
