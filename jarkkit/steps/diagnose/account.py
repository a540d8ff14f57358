"""What is asked of the account."""

from __future__ import annotations

from jarkkit.aws_layer import AwsLayer
from jarkkit.diagnosis.findings import Rank
from jarkkit.records import ControlPlane, Deployed, Owned, Part
from jarkkit.steps.diagnose.seen import Question, Questions


def questions(layer: AwsLayer, deployed: Deployed | None, *, cleaning: bool) -> Questions:
    """Those that have an answer at this point of the journey.

    Args:
        cleaning: the last thing done was a cleanup: then it is asked what it left behind, too.
    """
    name, health = layer.settings.name, layer.account.health

    def control_plane() -> ControlPlane | None:
        return health.control_plane(name)

    def parts() -> tuple[Part, ...]:
        return layer.account.parts(name) if control_plane() else ()

    def leftovers() -> tuple[tuple[Owned, ...], tuple[str, ...]]:
        owned, _, _ = layer.account.owned(name)
        vpc = next((o.import_id for o in owned if o.terraform_type == "aws_vpc"), "")
        return owned, health.idle_interfaces(vpc) if vpc else ()

    asked = {
        "Node groups and EKS add-ons": Question(parts, (Rank.NODE_GROUP, Rank.EKS_ADDON)),
        "NAT gateways": Question(lambda: health.gateways(name), (Rank.NETWORK,)),
        "Instances": Question(lambda: health.instances(name), (Rank.INSTANCE,)),
    }
    if cleaning:
        asked["Leftovers"] = Question(leftovers, (Rank.LEFT,))
    if deployed is not None:
        asked["Control plane"] = Question(control_plane, (Rank.CONTROL_PLANE,))
    return asked
