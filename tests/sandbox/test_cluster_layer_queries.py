"""The account queries of the cluster layer, against the sandbox account."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from jarkkit.model.errors import JarkkitError
from jarkkit.ports.aws import Account
from jarkkit.sandbox import daemon_client
from tests.support.account import sandbox_environment

REGION = "eu-west-1"


@pytest.fixture
def ec2(client: Callable[[str], Any]) -> Any:
    return client("ec2")


def tag_specifications(kind: str, **tags: str) -> list[dict[str, Any]]:
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    return [{"ResourceType": kind, "Tags": pairs}]


def launch_instance(ec2: Any, **tags: str) -> str:
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    specification = tag_specifications("instance", **tags)
    created = ec2.run_instances(
        ImageId=image,
        MinCount=1,
        MaxCount=1,
        InstanceType="m5.large",
        TagSpecifications=specification,
    )
    return str(created["Instances"][0]["InstanceId"])


def test_only_karpenters_instances_are_found_and_terminated(account: Account, ec2: Any) -> None:
    pool = {"karpenter.sh/nodepool": "cpu"}
    mine = launch_instance(ec2, **{"jarkkit:deployment": "ending"}, **pool)
    core = launch_instance(ec2, **{"jarkkit:deployment": "ending"})
    foreign = launch_instance(ec2, **{"jarkkit:deployment": "other"}, **pool)
    assert account.launched_by_karpenter("ending") == (mine,)
    account.terminate_instances([mine])
    assert account.launched_by_karpenter("ending") == ()
    states = {
        i["InstanceId"]: i["State"]["Name"]
        for r in ec2.describe_instances(InstanceIds=[core, foreign])["Reservations"]
        for i in r["Instances"]
    }
    assert states == {core: "running", foreign: "running"}
    ec2.terminate_instances(InstanceIds=[core, foreign])


def test_leftovers_of_controllers_are_found_by_their_tags(account: Account, ec2: Any) -> None:
    volume_tags = tag_specifications("volume", **{"kubernetes.io/cluster/left": "owned"})
    volume = ec2.create_volume(
        AvailabilityZone=f"{REGION}a", Size=1, VolumeType="gp3", TagSpecifications=volume_tags
    )["VolumeId"]
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    group_tags = tag_specifications("security-group", **{"elbv2.k8s.aws/cluster": "left"})
    group = ec2.create_security_group(
        GroupName="k8s-left",
        Description="of a load balancer",
        VpcId=vpc,
        TagSpecifications=group_tags,
    )["GroupId"]
    found = account.scan_resources("left").found
    assert {item.import_id for item in found} == {volume, group}
    ec2.delete_volume(VolumeId=volume)
    ec2.delete_security_group(GroupId=group)


def test_log_groups_of_the_cloudwatch_agent_are_found(
    account: Account, client: Callable[[str], Any]
) -> None:
    logs, name = client("logs"), "/aws/containerinsights/logged/performance"
    logs.create_log_group(logGroupName=name)
    found = account.scan_resources("logged").found
    assert [item.import_id for item in found] == [name]
    logs.delete_log_group(logGroupName=name)


def test_the_newest_node_image_has_karpenters_version_format(account: Account) -> None:
    assert re.fullmatch(r"v20\d{6}", account.node_image_version("1.36"))


def test_a_secrets_value_is_read(account: Account, client: Callable[[str], Any]) -> None:
    created = client("secretsmanager").create_secret(Name="oidc", SecretString="shh")
    assert account.secret(created["ARN"]) == "shh"


def test_a_disabled_region_rejects_the_caller_but_the_regions_are_listed(
    sandbox: daemon_client.RunningSandbox,
) -> None:
    account = Account("af-south-1", sandbox_environment(sandbox))
    with pytest.raises(JarkkitError) as caught:
        account.caller()
    assert caught.value.code == "JK-REGION-UNKNOWN"
    assert "af-south-1" not in account.enabled_regions()
    assert REGION in account.enabled_regions()
