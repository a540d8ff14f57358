"""Checks of capacity, where a pool uses Spot or reserved instances."""

from __future__ import annotations

from collections.abc import Iterator

from jarkkit.decisions.regions import CapacitySignal
from jarkkit.model.checks import Check, Status
from jarkkit.steps.check_engine import CheckGroup
from jarkkit.steps.preflight.context import CheckContext
from jarkkit.steps.queries.capacity_signals import capacity_signals

CHECKS = CheckGroup[CheckContext]("Account and Region")

_STATUS: dict[bool | None, Status] = {True: "pass", False: "warn", None: "unknown"}
_WHY = {
    "spot": "Spot capacity comes and goes; a placement score is a hint, not a guarantee.",
    "reserved": "A pool with only reserved capacity launches nothing without a reservation.",
}
_FIX = {
    "spot": "Add on-demand to the pool's capacity, or compare Regions: jarkkit regions",
    "reserved": "Reserve capacity or buy a Capacity Block, and add it to capacity_reservations.",
}


@CHECKS.check("Capacity")
def accelerator_capacity(context: CheckContext) -> Iterator[Check]:
    """Report the capacity signals of Spot and reserved pools."""
    pools = context.settings.accelerators
    patterns = [f"{pool.family}.*" for pool in pools if set(pool.capacity) - {"on-demand"}]
    if patterns:
        here = context.settings.region
        types = {here: context.account.availability.zones_by_type(patterns)}
        found = capacity_signals(context.account, {here: context.account}, context.settings, types)
        yield from map(_judged, found[here])


def _judged(signal: CapacitySignal) -> Check:
    good = signal.good is True
    name = "Spot capacity" if signal.kind == "spot" else "Reserved capacity"
    return Check(
        name=f"{name} for {signal.wanted}",
        status=_STATUS[signal.good],
        found=signal.evidence,
        why="" if good else _WHY[signal.kind],
        fix="" if good else _FIX[signal.kind],
        code="JK-AWS-CAPACITY" if signal.good is False else "",
    )
