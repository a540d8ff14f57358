"""Properties of instance types, from EC2."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jarkkit.model.records import InstanceType
from jarkkit.ports.aws.response_cache import DAY
from jarkkit.ports.aws.session import AwsSession, paginate, translate_errors

# The size of a type never changes, but AWS adds new types.
_GOOD_FOR = 7 * DAY


class InstanceTypes:
    """The instance types of one Region. The constructor makes no call."""

    def __init__(self, session: AwsSession) -> None:
        self._session = session

    def matching(self, patterns: Iterable[str]) -> dict[str, InstanceType]:
        """Return the types that match one of the patterns (`g6.*`, `m5.xlarge`), by name, without
        types that this Region does not have."""
        unique = sorted(set(patterns))
        if not unique:
            return {}
        question = f"sizes and processors of instance types {' '.join(unique)}"
        found = self._session.cached(question, _GOOD_FOR, lambda: self._ask(unique)).value
        return {item["name"]: InstanceType.model_validate(item) for item in found}

    def _ask(self, patterns: list[str]) -> list[dict[str, Any]]:
        ec2 = self._session.client("ec2")
        filters = [{"Name": "instance-type", "Values": patterns}]
        with translate_errors("ec2 DescribeInstanceTypes"):
            found = list(paginate(ec2, "describe_instance_types", "InstanceTypes", Filters=filters))
        return [
            {
                "name": kind["InstanceType"],
                "vcpus": kind["VCpuInfo"]["DefaultVCpus"],
                "accelerators": accelerators(kind),
                "architectures": kind.get("ProcessorInfo", {}).get("SupportedArchitectures", []),
                "nvidia": any(
                    gpu.get("Manufacturer") == "NVIDIA"
                    for gpu in kind.get("GpuInfo", {}).get("Gpus", [])
                ),
            }
            for kind in sorted(found, key=lambda kind: str(kind["InstanceType"]))
        ]


def accelerators(kind: dict[str, Any]) -> int:
    """Return the number of GPUs or Neuron devices, which EC2 reports in one of three fields."""
    places = (
        kind.get("GpuInfo", {}).get("Gpus", []),
        kind.get("NeuronInfo", {}).get("NeuronDevices", []),
        kind.get("InferenceAcceleratorInfo", {}).get("Accelerators", []),
    )
    return max(sum(int(each.get("Count", 0)) for each in place) for place in places)
