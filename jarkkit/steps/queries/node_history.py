"""Records which of Karpenter's nodes ran, for the cost so far."""

from __future__ import annotations

from jarkkit.decisions.costs.node_runs import merged, runs_in_cluster
from jarkkit.model.clock import now
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import NodeHistory, NodeRun
from jarkkit.ports.aws import Account
from jarkkit.ports.kube import Kube
from jarkkit.ports.workspace import Workspace

_SAVED = "node-history"


def load(workspace: Workspace) -> NodeHistory:
    """Return the recorded nodes."""
    return workspace.load(_SAVED, NodeHistory) or NodeHistory()


def record(workspace: Workspace, account: Account, deployment: str, kube: Kube | None) -> None:
    """Add the nodes that account and cluster show. What does not answer adds nothing.

    Args:
        kube: the cluster's client; None to ask the account only.
    """
    time, known = now(), load(workspace)
    launched = _in_account(account, deployment, time)
    inside = _in_cluster(kube, time) if kube is not None else None
    runs = known.runs
    if inside is not None:
        runs = merged(runs, inside, time, complete=launched is None)
    if launched is not None:
        runs = merged(runs, launched, time, complete=True)
    if runs != known.runs:
        workspace.save(_SAVED, NodeHistory(runs=runs))


def _in_account(account: Account, deployment: str, time: str) -> tuple[NodeRun, ...] | None:
    try:
        return account.karpenter_runs(deployment, time)
    except JarkkitError:
        return None


def _in_cluster(kube: Kube, time: str) -> tuple[NodeRun, ...] | None:
    try:
        claims = list(kube.list("karpenter.sh/v1", "NodeClaim"))
        events = list(kube.list("v1", "Event", fields="involvedObject.kind=NodeClaim"))
    except JarkkitError:
        return None
    return runs_in_cluster(claims, events, time)
