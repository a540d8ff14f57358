"""The queries to the account."""

from __future__ import annotations

from collections.abc import Callable

from jarkkit.decisions.diagnosis.findings import Rank
from jarkkit.model.records import ClusterComponent, DeployResult, EksCluster, OwnedResource
from jarkkit.steps.aws_layer import AwsLayer
from jarkkit.steps.diagnose.observations import (
    COMPONENTS,
    CONTROL_PLANE,
    DiagnosisQuery,
    Queries,
)


def queries(
    layer: AwsLayer,
    deployed: DeployResult | None,
    own_cluster: Callable[[], EksCluster | None],
    *,
    cleaning: bool,
) -> Queries:
    """Return the queries that have an answer in the deployment's current state.

    Args:
        own_cluster: returns the deployment's cluster.
        cleaning: the last step was a cleanup; then also query what it left behind.
    """
    name, health = layer.settings.name, layer.account.health

    def parts() -> tuple[ClusterComponent, ...]:
        return layer.account.cluster_components(name) if own_cluster() else ()

    def leftovers() -> tuple[tuple[OwnedResource, ...], tuple[str, ...]]:
        owned = layer.scan_resources().found
        vpc = next((o.import_id for o in owned if o.terraform_type == "aws_vpc"), "")
        return owned, health.idle_interfaces(vpc) if vpc else ()

    found = {
        COMPONENTS: DiagnosisQuery(parts, (Rank.NODE_GROUP, Rank.EKS_ADDON)),
        "NAT gateways": DiagnosisQuery(lambda: health.gateways(name), (Rank.NETWORK,)),
        "Instances": DiagnosisQuery(lambda: health.instances(name), (Rank.INSTANCE,)),
    }
    if cleaning:
        found["Leftovers"] = DiagnosisQuery(leftovers, (Rank.LEFT,))
    if deployed is not None:
        found[CONTROL_PLANE] = DiagnosisQuery(own_cluster, (Rank.CONTROL_PLANE,))
    return found
