"""Quantities of resources as Kubernetes writes them: `100m`, `64Mi`."""

from __future__ import annotations

from kubernetes.utils.quantity import parse_quantity


def amount(quantity: str | int | float) -> float:
    """A quantity in its base unit: vCPUs, bytes, pods. Raises ValueError for what is none.

    https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
    """
    return float(parse_quantity(quantity))  # type: ignore[no-untyped-call]
