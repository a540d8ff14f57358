"""Which change of a cluster's Kubernetes version Amazon EKS accepts, and in which order. Pure.

EKS upgrades a control plane by one minor version, once all node groups have its version. It rolls
the last upgrade back within a week, once no node is newer than the result. At the end of standard
support it upgrades a cluster by itself, because the upgrade policy is STANDARD.

https://docs.aws.amazon.com/eks/latest/userguide/update-cluster.html,
https://docs.aws.amazon.com/eks/latest/userguide/rollback-cluster.html and
https://docs.aws.amazon.com/eks/latest/userguide/view-upgrade-policy.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import ClusterVersion

ROLLBACK_DAYS = 7.0
# From here on, the upgrade by AWS would surprise a course that is being prepared.
_WARNED_DAYS = 60


@dataclass(frozen=True)
class RunningVersions:
    """The versions of a cluster that exists.

    Attributes:
        control_plane: its minor version.
        node_groups: the minor version of each managed node group, by name.
        deployed: the version that jarkkit's last deploy found or made; empty if unknown.
        days_since_upgrade: since the last upgrade of the control plane; None if there was none.
    """

    control_plane: str
    node_groups: Mapping[str, str] = field(default_factory=dict)
    deployed: str = ""
    days_since_upgrade: float | None = None


@dataclass(frozen=True)
class PlannedVersions:
    """The versions to plan. They differ while a rollback takes the nodes back first."""

    control_plane: str
    nodes: str
    warning: str = ""


def minor(version: str) -> int:
    """Return the number of a minor version: 36 for 1.36."""
    return int(version.split(".")[1])


def next_versions(wanted: str, running: RunningVersions | None) -> PlannedVersions:
    """Return the versions that the next plan should have.

    Args:
        wanted: the setting cluster_version.
        running: None if there is no cluster yet.

    Raises JK-VERSION-STEP for a change that EKS rejects, JK-VERSION-DRIFT if the cluster was
    upgraded without jarkkit.
    """
    step = minor(wanted) - minor(running.control_plane) if running else 0
    if running is None or step == 0:
        return PlannedVersions(wanted, wanted)
    if step > 0:
        _check_upgrade(wanted, running)
        return PlannedVersions(wanted, wanted)
    if running.deployed != running.control_plane:
        raise drift_error(wanted, running.control_plane)
    return _rollback(wanted, running)


def drift_error(wanted: str, present: str) -> JarkkitError:
    """Return the error for a control plane that is newer than the settings."""
    return JarkkitError(
        "JK-VERSION-DRIFT",
        f"The cluster runs Kubernetes {present}, but cluster_version is {wanted}: AWS has upgraded "
        "it, or another program has.",
        f"Set cluster_version to {present} (jarkkit configure NAME -p cluster_version={present}), "
        "then plan and deploy: the nodes follow.",
    )


def _check_upgrade(wanted: str, running: RunningVersions) -> None:
    present = running.control_plane
    following = f"1.{minor(present) + 1}"
    if wanted != following:
        way = " -> ".join(f"1.{each}" for each in range(minor(present), minor(wanted) + 1))
        raise JarkkitError(
            "JK-VERSION-STEP",
            f"cluster_version {wanted} is {minor(wanted) - minor(present)} minor versions ahead of "
            f"the cluster, and EKS upgrades one at a time: {way}.",
            f"Set cluster_version to {following}, plan and deploy; then take the next step.",
        )
    behind = [name for name, version in running.node_groups.items() if version != present]
    if behind:
        raise JarkkitError(
            "JK-VERSION-STEP",
            f"The node groups {', '.join(sorted(behind))} are older than the cluster ({present}), "
            "and EKS upgrades a cluster only when they have its version.",
            f"Set cluster_version to {present}, plan and deploy: the nodes follow. Then set "
            f"{wanted}.",
        )


def _rollback(wanted: str, running: RunningVersions) -> PlannedVersions:
    present = running.control_plane
    keep = f"Set cluster_version to {present}."
    days = running.days_since_upgrade
    if minor(present) - minor(wanted) > 1:
        reason = "EKS rolls back one minor version only"
    elif days is None:
        reason = "EKS rolls back to no version from which the cluster was not upgraded"
    elif days > ROLLBACK_DAYS:
        reason = f"EKS rolls back within {ROLLBACK_DAYS:.0f} days after the upgrade"
    else:
        return _planned_rollback(wanted, running)
    raise JarkkitError(
        "JK-VERSION-STEP",
        f"The cluster cannot go back from Kubernetes {present} to {wanted}: {reason}.",
        keep,
    )


def _planned_rollback(wanted: str, running: RunningVersions) -> PlannedVersions:
    present = running.control_plane
    newer = [name for name, v in running.node_groups.items() if minor(v) > minor(wanted)]
    if newer:
        warning = (
            f"Rolling back from Kubernetes {present} to {wanted} takes two rounds, because no node "
            f"may be newer than the control plane. This plan takes the node groups "
            f"{', '.join(sorted(newer))} back. Then plan and deploy again for the control plane."
        )
        return PlannedVersions(present, wanted, warning)
    warning = (
        f"Rolling the control plane back from Kubernetes {present} to {wanted}. EKS allows that "
        f"for {ROLLBACK_DAYS:.0f} days after the upgrade, unless nodes of Karpenter are newer. "
        "Objects stay as they are, also those that only the newer version knows."
    )
    return PlannedVersions(wanted, wanted, warning)


def support_warning(version: ClusterVersion, today: date) -> str:
    """Return what the user should know about the version's standard support; empty if nothing."""
    ends = version.end_of_standard_support
    if version.extended:
        since = f" on {ends}" if ends else ""
        return f"Its standard support ended{since}: AWS upgrades the cluster by itself, any day."
    if ends and (date.fromisoformat(ends) - today).days <= _WARNED_DAYS:
        return (
            f"Its standard support ends on {ends}: AWS upgrades the cluster by itself after that."
        )
    return ""
