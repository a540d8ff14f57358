"""What the names of instance types give, against what EC2 describes, which moto has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES

from jarkkit.decisions.instance_sizes import accelerators, max_pods, size_factor, vcpus
from jarkkit.decisions.quotas.families import is_known_instance_type, quota_family
from jarkkit.ports.aws.instance_types import accelerators as described_accelerators
from jarkkit.settings import FAMILIES


def calculated_max_pods(facts: Mapping[str, Any]) -> int:
    """Return the limit as `max-pods-calculator.sh` of the EKS AMIs does, with prefix delegation."""
    network = facts["NetworkInfo"]
    card = network["NetworkCards"][network.get("DefaultNetworkCardIndex", 0)]
    slots = card["MaximumNetworkInterfaces"] * (network["Ipv4AddressesPerInterface"] - 1)
    addresses = slots * (16 if facts["Hypervisor"] == "nitro" else 1) + 2
    return min(int(addresses), 250 if facts["VCpuInfo"]["DefaultVCpus"] > 30 else 110)


SIZED = {name: facts for name, facts in INSTANCE_TYPES.items() if size_factor(name)}


def test_the_name_of_every_type_gives_the_vcpus_that_ec2_describes() -> None:
    assert len(SIZED) > 800
    described = {name: facts["VCpuInfo"]["DefaultVCpus"] for name, facts in SIZED.items()}
    assert {name: vcpus(name) for name in SIZED} == described


def test_the_types_of_node_pools_have_the_accelerators_that_ec2_describes() -> None:
    pooled = [name for name in INSTANCE_TYPES if name.partition(".")[0] in FAMILIES]
    described = {name: described_accelerators(INSTANCE_TYPES[name]) for name in pooled}
    assert {name: accelerators(name) for name in pooled} == described
    assert {name.partition(".")[0] for name in pooled} == set(FAMILIES)


def test_the_name_of_a_type_gives_the_pods_that_eks_allows() -> None:
    calculated = {name: calculated_max_pods(facts) for name, facts in SIZED.items()}
    wrong = {name for name, pods in calculated.items() if max_pods(name) != pods}
    assert all(max_pods(name) <= calculated[name] for name in wrong)
    # Where the name does not give it, it is less: types on Xen, and the medium of some families.
    nitro = {name for name in wrong if SIZED[name]["Hypervisor"] == "nitro"}
    assert {name.partition(".")[2] for name in nitro} == {"medium"}
    examples = ("t3.nano", "t3.medium", "m5.large", "m5.8xlarge", "m4.large")
    assert [max_pods(name) for name in examples] == [34, 110, 110, 250, 20]


def test_every_known_instance_type_has_a_family() -> None:
    without = {name for name in INSTANCE_TYPES if quota_family(name) is None}
    assert {name.partition(".")[0][:3] for name in without} == {"mac"}
    assert all(is_known_instance_type(name) for name in INSTANCE_TYPES)


def test_accelerated_types_never_count_as_standard() -> None:
    standard = {name for name in INSTANCE_TYPES if quota_family(name) == "Standard"}
    accelerated = {
        name
        for name, kind in INSTANCE_TYPES.items()
        if kind.get("GpuInfo") or kind.get("NeuronInfo") or kind.get("InferenceAcceleratorInfo")
    }
    assert accelerated
    assert not standard & accelerated
    assert not [n for n in standard if n.startswith(("inf", "trn", "dl", "vt", "gr", "hpc", "mac"))]
