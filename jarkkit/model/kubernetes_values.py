"""What Kubernetes writes in its objects: quantities such as `100m` and `64Mi`, times of events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def quantity_value(quantity: str | int | float) -> float:
    """Return a quantity in its base unit: vCPUs, bytes, pods. Raises ValueError if it is invalid.

    https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
    """
    from kubernetes.utils.quantity import parse_quantity  # half a second that few commands need

    return float(parse_quantity(quantity))  # type: ignore[no-untyped-call]


def event_time(event: Mapping[str, Any]) -> str:
    """Return the time of an event's last occurrence, as sortable text."""
    series = event.get("series") or {}
    moment = (
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
    )
    return str(moment or "")
