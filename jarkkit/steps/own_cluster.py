"""The deployment's own cluster in the account."""

from __future__ import annotations

from jarkkit.decisions.ownership import is_own_cluster
from jarkkit.model.records import DeployResult, EksCluster
from jarkkit.ports.aws import Account
from jarkkit.ports.workspace import Workspace


def own_cluster(name: str, account: Account, workspace: Workspace) -> EksCluster | None:
    """Return the deployment's cluster; None if there is none, or if it is another's."""
    cluster = account.cluster(name)
    return cluster if cluster is not None and is_own(cluster, workspace) else None


def is_own(cluster: EksCluster, workspace: Workspace) -> bool:
    """Return True if the cluster with the deployment's name is the deployment's."""
    recorded = recorded_endpoint(workspace)
    return is_own_cluster(cluster.name, cluster.tags, cluster.endpoint, recorded)


def recorded_endpoint(workspace: Workspace) -> str:
    """Return the endpoint of the cluster that the last deploy made; empty if there was none."""
    deployed = workspace.load("deployed", DeployResult)
    return str(deployed.outputs.get("cluster_endpoint", "")) if deployed else ""
