"""Where to build: what each Region answered, side by side, and which one is recommended. Pure.

A Region must have EKS with the wanted version of Kubernetes, enough Availability Zones that EKS and
the core nodes can use, and every chosen family in one of them. Of those that have, the best is the
one whose quotas are enough now, then the one where the deployment costs least, then the one that is
nearest. What a Region did not answer is unknown, and counts neither for nor against it: a Region is
recommended only when all that it must have is known.
"""

from __future__ import annotations

from jarkkit.survey import shown
from jarkkit.survey.choice import compared
from jarkkit.survey.region import Facts, in_region, smallest, surveyed
from jarkkit.survey.values import Headroom, Signal, Supply, Survey, Surveyed

__all__ = [
    "Facts",
    "Headroom",
    "Signal",
    "Supply",
    "Survey",
    "Surveyed",
    "compared",
    "in_region",
    "shown",
    "smallest",
    "surveyed",
]
