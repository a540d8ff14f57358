"""What instance types have, as EC2 describes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jarkkit.aws.answers import DAY
from jarkkit.aws.session import Session, paged, translated
from jarkkit.records import InstanceType

# A type's size never changes; new types appear.
_GOOD_FOR = 7 * DAY


class InstanceTypes:
    """The instance types of one Region. Making one calls nobody."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def matching(self, patterns: Iterable[str]) -> dict[str, InstanceType]:
        """The types that match one of the patterns (`g6.*`, `m5.xlarge`), by name. Types that this
        Region does not have are left out."""
        wanted = sorted(set(patterns))
        if not wanted:
            return {}
        question = f"sizes of instance types {' '.join(wanted)}"
        found = self._session.remembered(question, _GOOD_FOR, lambda: self._ask(wanted)).value
        return {item["name"]: InstanceType.model_validate(item) for item in found}

    def _ask(self, patterns: list[str]) -> list[dict[str, Any]]:
        ec2 = self._session.client("ec2")
        filters = [{"Name": "instance-type", "Values": patterns}]
        with translated("ec2 DescribeInstanceTypes"):
            found = list(paged(ec2, "describe_instance_types", "InstanceTypes", Filters=filters))
        return [
            {
                "name": kind["InstanceType"],
                "vcpus": kind["VCpuInfo"]["DefaultVCpus"],
                "accelerators": _accelerators(kind),
            }
            for kind in sorted(found, key=lambda kind: str(kind["InstanceType"]))
        ]


def _accelerators(kind: dict[str, Any]) -> int:
    """GPUs or Neuron devices. EC2 has three places for them."""
    places = (
        kind.get("GpuInfo", {}).get("Gpus", []),
        kind.get("NeuronInfo", {}).get("NeuronDevices", []),
        kind.get("InferenceAcceleratorInfo", {}).get("Accelerators", []),
    )
    return max(sum(int(each.get("Count", 0)) for each in place) for place in places)
