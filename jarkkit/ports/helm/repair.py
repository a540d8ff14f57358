"""Decides how to repair a release and install or upgrade it. Pure.

Helm rejects changes to a release that an interrupted run left pending, and an upgrade after a
failed first install would skip the install hooks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jarkkit.model.helm_releases import Release


@dataclass(frozen=True)
class RepairPlan:
    """Actions on a release: first uninstall, then rollback, then install or upgrade.

    Attributes:
        uninstall: uninstall the remains of the release first.
        rollback: revision to roll back to; 0 for none.
    """

    action: Literal["install", "upgrade"]
    uninstall: bool = False
    rollback: int = 0


_AFRESH = RepairPlan("install", uninstall=True)


def repair_plan(history: Sequence[Release]) -> RepairPlan:
    """Return the plan for a release's history, oldest revision first."""
    if not history:
        return RepairPlan("install")
    status = history[-1].status
    worked = [r.revision for r in history if r.status in ("deployed", "superseded")]
    if status in ("deployed", "superseded"):
        return RepairPlan("upgrade")
    if status in ("failed", "unknown"):
        return RepairPlan("upgrade") if worked else _AFRESH
    if status in ("pending-upgrade", "pending-rollback"):
        deployed = [r.revision for r in history if r.status == "deployed"]
        back = (deployed or worked)[-1:]
        return RepairPlan("upgrade", rollback=back[0]) if back else _AFRESH
    return _AFRESH  # pending-install, uninstalling, uninstalled with its history kept
