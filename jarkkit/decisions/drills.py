"""Which drills can run here, and the faults that one injects. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jarkkit.catalog.addons import addon_catalog
from jarkkit.catalog.drills import Drill
from jarkkit.decisions.stack import ResolvedStack


def fault_arguments(drill: Drill, outputs: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the faults in the sandbox's syntax, for the deployment's first zone."""
    zones = outputs.get("availability_zones")
    zone = str(zones[0]) if isinstance(zones, list) and zones else ""
    return tuple(fault.replace("${zone}", zone) for fault in drill.faults)


def why_not_runnable(drill: Drill, stack: ResolvedStack, *, deployed: bool, clusters: bool) -> str:
    """Explain why the drill cannot run here; empty when it can.

    Args:
        deployed: the deployment exists.
        clusters: the sandbox has clusters.
    """
    if drill.by_hand:
        return f"run it by hand: {drill.by_hand}"
    if drill.needs_cluster and not clusters:
        return "this sandbox simulates only the account and has no clusters"
    if drill.needs_cluster and not deployed:
        return "it needs a cluster, and nothing is deployed yet"
    if "spot" in drill.needs and "spot" not in stack.settings.cpu_capacity:
        return "it needs CPU nodes with Spot capacity (add `spot` to the setting `cpu_capacity`)"
    if disabled := [n for n in drill.needs if n not in {*stack.addon_names, "spot"}]:
        titles = (addon_catalog()[name].title for name in disabled)
        return f"it needs {' and '.join(titles)}, which your settings switch off"
    return ""
