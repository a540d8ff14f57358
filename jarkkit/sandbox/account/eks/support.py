"""When the standard support of a minor version ends in this account.

The published dates, or today for versions that the fault `end-of-support` names.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from jarkkit.catalog.facts import eks_versions
from jarkkit.sandbox import faults
from jarkkit.sandbox.clock import CLOCK


def today() -> date:
    """Return the account's date."""
    return datetime.fromtimestamp(CLOCK.now(), UTC).date()


def standard_support_end(version: str) -> date:
    """Return the day on which the version goes into extended support. Raises KeyError."""
    published = eks_versions()[version].standard_support_ends
    if faults.ACTIVE.is_active("end-of-support", version):
        return min(today(), published)
    return published


def is_in_extended_support(version: str) -> bool:
    """Return True after the end of the version's standard support. Raises KeyError."""
    return today() >= standard_support_end(version)
