"""The deployment's state and the next command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jarkkit.decisions.cluster_versions import drift_error, minor
from jarkkit.decisions.ownership import is_own_cluster
from jarkkit.model.errors import JarkkitError, VersionDrift
from jarkkit.model.records import DeploymentStatus, DeployResult, LedgerEntry, Plan, Receipt, Target
from jarkkit.ports.aws.account import Account
from jarkkit.settings import Settings

_STEPS_THAT_CHANGE = ("deploy", "cleanup")


@dataclass(frozen=True)
class ObservedCluster:
    """What EKS reports of the deployed cluster.

    Attributes:
        version: empty if it is not known.
        message: what the user should know about it; empty if nothing.
    """

    version: str = ""
    message: str = ""


def last_change(entries: tuple[LedgerEntry, ...]) -> LedgerEntry | None:
    """Return the last entry of a deploy or cleanup; None without any."""
    return next((e for e in reversed(entries) if e.step in _STEPS_THAT_CHANGE), None)


def observe_cluster(
    account: Account, settings: Settings, deployed: DeployResult, target: Target | None
) -> ObservedCluster:
    """Ask EKS for the deployed cluster. An error becomes a message."""
    try:
        cluster = account.cluster(settings.name)
    except JarkkitError as error:
        return ObservedCluster(message=f"The cluster was not checked: {error.code}.")
    arn = target.cluster_arn if target else ""
    endpoint = str(deployed.outputs.get("cluster_endpoint", ""))
    if (
        cluster is None
        or (arn and cluster.arn != arn)
        or not is_own_cluster(settings.name, cluster.tags, cluster.endpoint, endpoint)
    ):
        return ObservedCluster(
            message=f"Your credentials' account has no cluster {settings.name!r} of this "
            "deployment: it was deleted without jarkkit, or these are other credentials."
        )
    made = str(deployed.outputs.get("cluster_version", ""))
    wanted = settings.cluster_version
    is_newer = minor(cluster.version) > minor(wanted)
    message = ""
    if is_newer and cluster.version != made:
        drift = drift_error(wanted, cluster.version)
        message = f"{drift.message} {drift.fix}"
    return ObservedCluster(cluster.version, message)


def status(
    name: str,
    *,
    entries: tuple[LedgerEntry, ...],
    plan: Plan | None,
    deployed: DeployResult | None,
    receipt: Receipt | None,
    target: Target | None,
    settings_changed: bool,
    running: bool,
    takes: str = "",
    observed: ObservedCluster | None = None,
) -> DeploymentStatus:
    """Derive a deployment's state from its folder.

    Args:
        observed: what EKS reports of the cluster; None if it was not asked.
        takes: how long a deploy should take, in words; shown before the first deploy.
        settings_changed: the settings are not those of the plan.
        running: a process is working on it now, or Terraform outlived jarkkit.
    """
    last = entries[-1] if entries else None
    state, summary, command = _state(entries, plan, deployed, receipt, settings_changed, running)
    if takes and state in ("configured", "planned"):
        summary = f"{summary} Deploying takes {takes} on AWS."
    if message := _about_cluster(entries, observed):
        summary = f"{summary} {message}"
    return DeploymentStatus.model_validate(
        {
            "deployment": name,
            "state": state,
            "summary": summary,
            "next_command": f"jarkkit {command} {name}",
            "target": target,
            "last": last,
            "running": running,
            "cluster_version": observed.version if observed else "",
        }
    )


def _state(
    entries: tuple[LedgerEntry, ...],
    plan: Plan | None,
    deployed: DeployResult | None,
    receipt: Receipt | None,
    settings_changed: bool,
    running: bool,
) -> tuple[Any, str, str]:
    changing = last_change(entries)
    if changing is not None and changing.status != "finished":
        return _unfinished(changing, running)
    cleaned = changing is not None and changing.step == "cleanup"
    if cleaned and receipt is not None and plan is None:
        return "removed", f"Cleaned up: {receipt.verdict}.", "plan"
    if deployed is not None and plan is not None and deployed.time > plan.made:
        if settings_changed:
            return "changed", "Deployed, and the settings have changed since.", "plan"
        took = f"Deployed in {deployed.seconds:.0f} s"
        if _verified(entries):
            return "deployed", f"{took}, and verified.", "use --deployment"
        return "deployed", f"{took}.", "verify"
    if plan is not None:
        if settings_changed:
            return "configured", "The settings have changed since the plan.", "plan"
        return "planned", f"Planned: {len(plan.pending)} resources.", "deploy"
    if any(entry.step in ("configure", "preflight") for entry in entries):
        return "configured", "Settings are saved; nothing is planned yet.", "plan"
    return "new", "Nothing has been done yet.", "preflight"


def _about_cluster(entries: tuple[LedgerEntry, ...], observed: ObservedCluster | None) -> str:
    """Return what EKS reports now, or else what a step last recorded."""
    if observed is not None and (observed.version or observed.message):
        return observed.message
    drift = _version_drift(entries)
    return drift.message if drift else ""


def _version_drift(entries: tuple[LedgerEntry, ...]) -> LedgerEntry | None:
    """Return what a step last reported of a cluster that is newer than the settings, unless the
    settings or the cluster have changed since."""
    for entry in reversed(entries):
        if VersionDrift.has_code(entry.code):
            return entry
        if entry.step == "configure" or (entry.step == "deploy" and entry.status == "finished"):
            return None
    return None


def _verified(entries: tuple[LedgerEntry, ...]) -> bool:
    """Return whether the last verification since the last change passed."""
    changes = (i for i, e in enumerate(entries) if e.step in _STEPS_THAT_CHANGE)
    since = entries[max(changes, default=0) :]
    verified = [entry for entry in since if entry.step == "verify"]
    return bool(verified) and verified[-1].status == "finished"


def _unfinished(entry: LedgerEntry, running: bool) -> tuple[str, str, str]:
    doing = "deploying" if entry.step == "deploy" else "cleaning"
    verb = "deploy" if entry.step == "deploy" else "cleanup"
    if running:
        return doing, f"{entry.step} has been running since {entry.time}.", "status"
    if entry.status == "started":
        return "failed", f"{entry.step} stopped unexpectedly (killed?); run it again.", verb
    why = f": {entry.code} {entry.message}".rstrip() if entry.code else ""
    word = "was interrupted" if entry.status == "interrupted" else "failed"
    return "failed", f"{entry.step} {word}{why}", verb
