"""A Helm release, as the cluster records it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """A revision of a release.

    Attributes:
        chart: the chart's name.
        version: the chart's version.
        status: Helm's status: deployed, failed, superseded, pending-install, pending-upgrade,
            pending-rollback, uninstalling, uninstalled, unknown.
    """

    name: str
    namespace: str
    chart: str
    version: str
    status: str
    revision: int
