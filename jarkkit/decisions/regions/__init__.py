"""The region comparison: results of each Region side by side, and a recommendation. Pure.

A Region must offer EKS with the selected Kubernetes version, enough Availability Zones that EKS and
the core nodes can use, and every selected family in one of them. Of the Regions that do, the best
one has large enough quotas, then the lowest cost, then the lowest latency. A request that failed
makes a result unknown, which counts neither for nor against the Region. jarkkit recommends a Region
only if everything that it must have is known.
"""

from __future__ import annotations

from jarkkit.decisions.regions.models import (
    CapacitySignal,
    Headroom,
    InstanceSupply,
    RegionComparison,
    RegionResult,
)
from jarkkit.decisions.regions.ranking import rank_regions
from jarkkit.decisions.regions.region_result import (
    RegionFacts,
    region_result,
    settings_in_region,
    smallest_type,
)

__all__ = [
    "CapacitySignal",
    "Headroom",
    "InstanceSupply",
    "RegionComparison",
    "RegionFacts",
    "RegionResult",
    "rank_regions",
    "region_result",
    "settings_in_region",
    "smallest_type",
]
