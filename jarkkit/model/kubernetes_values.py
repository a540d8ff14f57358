"""What Kubernetes writes in its objects: quantities such as `100m` and `64Mi`, times of events."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))(?:(?P<suffix>[numkMGTPE]|[KMGTPE]i)|[eE](?P<exponent>[+-]?\d+))?"
)
_FACTORS = {
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("num", -3)},
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)},
}


def quantity_value(quantity: str | int | float) -> float:
    """Return a quantity in its base unit: vCPUs, bytes, pods. Raises ValueError if it is invalid.

    The grammar: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
    """
    found = _QUANTITY.fullmatch(str(quantity))
    if found is None:
        raise ValueError(f"{quantity!r} is not a quantity of Kubernetes")
    number, suffix, exponent = found["number"], found["suffix"], found["exponent"]
    # Decimal, because 0.07 * 1000 is not 70 with floats.
    factor = _FACTORS[suffix] if suffix else Decimal(f"1e{exponent or 0}")
    return float(Decimal(number) * factor)


def event_time(event: Mapping[str, Any]) -> str:
    """Return the time of an event's last occurrence, as sortable text."""
    series = event.get("series") or {}
    moment = (
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event.get("metadata", {}).get("creationTimestamp")
    )
    return str(moment or "")
