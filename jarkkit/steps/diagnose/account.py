"""The queries to the account."""

from __future__ import annotations

from jarkkit.decisions.diagnosis.findings import Rank
from jarkkit.model.records import ClusterComponent, ControlPlaneHealth, DeployResult, OwnedResource
from jarkkit.steps.aws_layer import AwsLayer
from jarkkit.steps.diagnose.observations import DiagnosisQuery, Queries


def queries(layer: AwsLayer, deployed: DeployResult | None, *, cleaning: bool) -> Queries:
    """Return the queries that have an answer in the deployment's current state.

    Args:
        cleaning: the last step was a cleanup; then also query what it left behind.
    """
    name, health = layer.settings.name, layer.account.health

    def control_plane() -> ControlPlaneHealth | None:
        return health.control_plane(name)

    def parts() -> tuple[ClusterComponent, ...]:
        return layer.account.cluster_components(name) if control_plane() else ()

    def leftovers() -> tuple[tuple[OwnedResource, ...], tuple[str, ...]]:
        owned = layer.scan_resources().found
        vpc = next((o.import_id for o in owned if o.terraform_type == "aws_vpc"), "")
        return owned, health.idle_interfaces(vpc) if vpc else ()

    found = {
        "Node groups and EKS add-ons": DiagnosisQuery(parts, (Rank.NODE_GROUP, Rank.EKS_ADDON)),
        "NAT gateways": DiagnosisQuery(lambda: health.gateways(name), (Rank.NETWORK,)),
        "Instances": DiagnosisQuery(lambda: health.instances(name), (Rank.INSTANCE,)),
    }
    if cleaning:
        found["Leftovers"] = DiagnosisQuery(leftovers, (Rank.LEFT,))
    if deployed is not None:
        found["Control plane"] = DiagnosisQuery(control_plane, (Rank.CONTROL_PLANE,))
    return found
