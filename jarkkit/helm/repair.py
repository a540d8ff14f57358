"""What has to be done to a release before and until it is as wanted. Pure.

Helm refuses to touch a release that an interrupted run has left pending, and upgrading one whose
first install failed would skip its install hooks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Release:
    """A revision of a release.

    Attributes:
        chart: the chart's name.
        version: the chart's version.
        status: Helm's word: deployed, failed, superseded, pending-install, pending-upgrade,
            pending-rollback, uninstalling, uninstalled, unknown.
    """

    name: str
    namespace: str
    chart: str
    version: str
    status: str
    revision: int


@dataclass(frozen=True)
class Way:
    """What to do, in this order.

    Attributes:
        uninstall: take away what is left of it.
        rollback: to this revision; 0 for none.
    """

    action: Literal["install", "upgrade"]
    uninstall: bool = False
    rollback: int = 0


_AFRESH = Way("install", uninstall=True)


def way(history: Sequence[Release]) -> Way:
    """From all revisions, the oldest first."""
    if not history:
        return Way("install")
    status = history[-1].status
    worked = [r.revision for r in history if r.status in ("deployed", "superseded")]
    if status in ("deployed", "superseded"):
        return Way("upgrade")
    if status in ("failed", "unknown"):
        return Way("upgrade") if worked else _AFRESH
    if status in ("pending-upgrade", "pending-rollback"):
        deployed = [r.revision for r in history if r.status == "deployed"]
        back = (deployed or worked)[-1:]
        return Way("upgrade", rollback=back[0]) if back else _AFRESH
    return _AFRESH  # pending-install, uninstalling, uninstalled with its history kept
