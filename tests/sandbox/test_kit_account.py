"""What the kit asks the account about the cluster layer, against the pretend one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from jarkkit.aws import Account
from jarkkit.errors import JarkkitError
from jarkkit.sandbox import control
from tests.conftest import pointed_at

REGION = "eu-west-1"


@pytest.fixture
def ec2(client: Callable[[str], Any]) -> Any:
    return client("ec2")


def tagged(kind: str, **tags: str) -> list[dict[str, Any]]:
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    return [{"ResourceType": kind, "Tags": pairs}]


def launched(ec2: Any, **tags: str) -> str:
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    specification = tagged("instance", **tags)
    made = ec2.run_instances(
        ImageId=image,
        MinCount=1,
        MaxCount=1,
        InstanceType="m5.large",
        TagSpecifications=specification,
    )
    return str(made["Instances"][0]["InstanceId"])


def test_instances_of_karpenter_are_found_and_ended_and_no_others(
    account: Account, ec2: Any
) -> None:
    pool = {"karpenter.sh/nodepool": "cpu"}
    mine = launched(ec2, **{"jarkkit:deployment": "ending"}, **pool)
    core = launched(ec2, **{"jarkkit:deployment": "ending"})
    theirs = launched(ec2, **{"jarkkit:deployment": "other"}, **pool)
    assert account.launched_by_karpenter("ending") == (mine,)
    account.end_instances([mine])
    assert account.launched_by_karpenter("ending") == ()
    states = {
        i["InstanceId"]: i["State"]["Name"]
        for r in ec2.describe_instances(InstanceIds=[core, theirs])["Reservations"]
        for i in r["Instances"]
    }
    assert states == {core: "running", theirs: "running"}
    ec2.terminate_instances(InstanceIds=[core, theirs])


def test_what_controllers_left_is_found_by_their_own_tags(account: Account, ec2: Any) -> None:
    claimed = tagged("volume", **{"kubernetes.io/cluster/left": "owned"})
    volume = ec2.create_volume(
        AvailabilityZone=f"{REGION}a", Size=1, VolumeType="gp3", TagSpecifications=claimed
    )["VolumeId"]
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    balanced = tagged("security-group", **{"elbv2.k8s.aws/cluster": "left"})
    group = ec2.create_security_group(
        GroupName="k8s-left",
        Description="of a load balancer",
        VpcId=vpc,
        TagSpecifications=balanced,
    )["GroupId"]
    found, _, _ = account.owned("left")
    assert {item.import_id for item in found} == {volume, group}
    ec2.delete_volume(VolumeId=volume)
    ec2.delete_security_group(GroupId=group)


def test_log_groups_of_the_agents_are_found(account: Account, client: Callable[[str], Any]) -> None:
    logs, name = client("logs"), "/aws/containerinsights/logged/performance"
    logs.create_log_group(logGroupName=name)
    found, _, _ = account.owned("logged")
    assert [item.import_id for item in found] == [name]
    logs.delete_log_group(logGroupName=name)


def test_the_newest_images_are_named_as_karpenter_wants_it(account: Account) -> None:
    assert re.fullmatch(r"v20\d{6}", account.node_image_version("1.36"))


def test_a_secret_is_read(account: Account, client: Callable[[str], Any]) -> None:
    made = client("secretsmanager").create_secret(Name="oidc", SecretString="shh")
    assert account.secret(made["ARN"]) == "shh"


def test_in_a_region_that_is_not_enabled_nobody_is_known_but_the_regions_are(
    sandbox: control.Running,
) -> None:
    account = Account("af-south-1", pointed_at(sandbox))
    with pytest.raises(JarkkitError) as caught:
        account.caller()
    assert caught.value.code == "JK-REGION-UNKNOWN"
    assert "af-south-1" not in account.enabled_regions()
    assert REGION in account.enabled_regions()
