"""Preexisting usage: other workloads already use half of a prepared account's quotas.

These resources really exist in the account, so that every count includes them: instances, networks,
addresses.
"""

from __future__ import annotations

from typing import Any

from moto.ec2.models.elastic_ip_addresses import ElasticAddress

from jarkkit.sandbox import faults
from jarkkit.sandbox.account.ec2 import capacity, instance_types
from jarkkit.sandbox.account.servicequotas import reference_data
from jarkkit.sandbox.account.servicequotas.models import QuotasBackend

_PROFILE = "half-used"
_OWNER = "other-team"
_TYPES = ("m5.4xlarge", "g4dn.8xlarge")


def create_preexisting_usage(backend: Any) -> None:
    """Create the resources in the Region, once, if the profile has them.

    Do nothing while a fault leaves no capacity for the instances.
    """
    if backend.has_preexisting_usage or QuotasBackend.profile != _PROFILE:
        return
    offered = instance_types.zones_of(backend.region_name)
    zones = sorted(set.intersection(*(set(offered.get(name, ())) for name in _TYPES)))
    if not zones or any(faults.ACTIVE.lacks_capacity(name, zones[0]) for name in _TYPES):
        return
    backend.has_preexisting_usage = True
    subnet = _network(backend, "data", "10.80.0.0/16", zones[0])
    _network(backend, "web", "10.90.0.0/16", zones[0])
    for _ in range(2):
        address: ElasticAddress = backend.allocate_address("vpc")
        address.add_tags(_tags("web"))
    image = backend.register_own_image(
        {"Name": f"{_OWNER}-image", "Architecture": "x86_64"}, _tags("data")
    )
    for instance_type in _TYPES:
        _launch(backend, image.id, instance_type, subnet)


def _tags(what: str) -> dict[str, str]:
    return {"Name": f"{_OWNER}-{what}", "team": what}


def _network(backend: Any, what: str, cidr: str, zone: str) -> str:
    """Create a VPC with one subnet and return the subnet's id."""
    listed = [{"Key": key, "Value": value} for key, value in _tags(what).items()]
    vpc = backend.create_vpc(cidr, tags=listed)
    gateway = backend.create_internet_gateway(tags=listed)
    backend.attach_internet_gateway(gateway.id, vpc.id)
    subnet = backend.create_subnet(
        vpc.id, cidr.replace("/16", "/20"), availability_zone=zone, tags={"subnet": _tags(what)}
    )
    return str(subnet.id)


def _launch(backend: Any, image: str, instance_type: str, subnet: str) -> None:
    """Launch as many instances as fill half of the type's On-Demand quota."""
    quota = reference_data.QUOTAS["ec2"][capacity.quota_code(instance_type, spot=False)]
    half = (quota.prepared or 0) // 2
    backend.run_instances(
        image,
        int(half // instance_types.vcpus_of(instance_type)),
        None,
        [],
        instance_type=instance_type,
        is_instance_type_default=False,
        subnet_id=subnet,
        tags={"instance": _tags("data"), "volume": _tags("data")},
    )
