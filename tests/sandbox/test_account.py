"""The pretend account beyond moto, by the same SDK that reaches the real one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from jarkkit.sandbox import control


@pytest.fixture(scope="session")
def client(sandbox: control.Running) -> Callable[..., Any]:
    """Clients of the shared sandbox."""
    return lambda service, region="eu-west-1": make_client(sandbox, service, region)


def make_client(
    running: control.Running, service: str, region: str = "eu-west-1", **config: Any
) -> Any:
    """A client that takes the first answer, if not told otherwise."""
    session = boto3.Session(
        running.env["AWS_ACCESS_KEY_ID"], running.env["AWS_SECRET_ACCESS_KEY"], region_name=region
    )
    config = {"retries": {"total_max_attempts": 1}, **config}
    return session.client(service, endpoint_url=running.endpoint, config=Config(**config))


def reserve(ec2: Any, instance_type: str, zone: str, count: int = 1, **more: Any) -> str:
    """A capacity reservation; returns its id."""
    made = ec2.create_capacity_reservation(
        InstanceType=instance_type,
        InstancePlatform="Linux/UNIX",
        AvailabilityZone=zone,
        InstanceCount=count,
        **more,
    )
    return str(made["CapacityReservation"]["CapacityReservationId"])


def network(ec2: Any, zones: tuple[str, ...] = ("eu-west-1a", "eu-west-1b")) -> list[str]:
    """Subnets in those zones of a new VPC."""
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    return [
        ec2.create_subnet(VpcId=vpc, AvailabilityZone=zone, CidrBlock=f"10.0.{index}.0/24")[
            "Subnet"
        ]["SubnetId"]
        for index, zone in enumerate(zones)
    ]


ROLE = "arn:aws:iam::123456789012:role/nobody"


def cluster(client: Callable[..., Any], name: str, **more: Any) -> Any:
    """A cluster, and the EKS client."""
    eks = client("eks")
    eks.create_cluster(
        name=name,
        version="1.36",
        roleArn=ROLE,
        resourcesVpcConfig={"subnetIds": network(client("ec2"))},
        accessConfig={
            "authenticationMode": "API",
            "bootstrapClusterCreatorAdminPermissions": False,
        },
        **more,
    )
    return eks


def refused(call: Callable[..., Any], **arguments: Any) -> str:
    """The code with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


class TestClusters:
    def test_one_has_what_eks_makes_for_it(self, client: Callable[..., Any]) -> None:
        eks = cluster(client, "whole")
        found = eks.describe_cluster(name="whole")["cluster"]
        assert found["status"] == "ACTIVE"
        assert found["accessConfig"]["authenticationMode"] == "API"
        assert found["upgradePolicy"]["supportType"] == "EXTENDED"
        group = found["resourcesVpcConfig"]["clusterSecurityGroupId"]
        tags = client("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["Tags"]
        assert {"Key": "aws:eks:cluster-name", "Value": "whole"} in tags
        eks.delete_cluster(name="whole")
        assert refused(eks.describe_cluster, name="whole") == "ResourceNotFoundException"
        left = client("ec2").describe_security_groups(
            Filters=[{"Name": "group-id", "Values": [group]}]
        )
        assert left["SecurityGroups"] == []

    def test_bad_ones_are_refused(self, client: Callable[..., Any]) -> None:
        eks, ec2 = client("eks"), client("ec2")
        good = network(ec2)
        call = {"name": "bad", "roleArn": ROLE}
        wrong = {"resourcesVpcConfig": {"subnetIds": good}, "version": "1.12"}
        assert refused(eks.create_cluster, **call, **wrong) == "InvalidParameterException"
        one = {"resourcesVpcConfig": {"subnetIds": good[:1]}}
        assert refused(eks.create_cluster, **call, **one) == "InvalidParameterException"
        virginia = client("ec2", "us-east-1")
        zones = virginia.describe_availability_zones()["AvailabilityZones"]
        refused_zone = next(z["ZoneName"] for z in zones if z["ZoneId"] == "use1-az3")
        other = next(z["ZoneName"] for z in zones if z["ZoneId"] == "use1-az1")
        subnets = network(virginia, (refused_zone, other))
        code = refused(
            client("eks", "us-east-1").create_cluster,
            **call,
            resourcesVpcConfig={"subnetIds": subnets},
        )
        assert code == "UnsupportedAvailabilityZoneException"

    def test_versions_are_on_offer_with_their_dates(self, client: Callable[..., Any]) -> None:
        offered = client("eks").describe_cluster_versions()["clusterVersions"]
        assert offered[0]["clusterVersion"] > offered[-1]["clusterVersion"]
        assert all(v["endOfStandardSupportDate"] > v["releaseDate"] for v in offered)
        some = client("eks").describe_cluster_versions(clusterVersions=["1.36"])
        assert [v["clusterVersion"] for v in some["clusterVersions"]] == ["1.36"]

    def test_an_update_changes_one_thing_at_a_time(self, client: Callable[..., Any]) -> None:
        eks = cluster(client, "updated")
        both: dict[str, Any] = {
            "logging": {"clusterLogging": []},
            "upgradePolicy": {"supportType": "STANDARD"},
        }
        assert refused(eks.update_cluster_config, name="updated", **both) == (
            "InvalidParameterException"
        )
        del both["logging"]
        update = eks.update_cluster_config(name="updated", **both)["update"]
        done = eks.describe_update(name="updated", updateId=update["id"])["update"]
        assert done["status"] == "Successful"
        found = eks.describe_cluster(name="updated")["cluster"]
        assert found["upgradePolicy"]["supportType"] == "STANDARD"


class TestPartsOfACluster:
    def test_addons(self, client: Callable[..., Any]) -> None:
        eks = cluster(client, "with-addons")
        at = {"clusterName": "with-addons", "addonName": "coredns"}
        wrong = refused(eks.create_addon, **at, addonVersion="v0.0.1-eksbuild.1")
        assert wrong == "InvalidParameterException"
        bad = refused(eks.create_addon, **at, configurationValues="not json")
        assert bad == "InvalidParameterException"
        eks.create_addon(**at, configurationValues='{"replicaCount": 2}', tags={"a": "b"})
        assert refused(eks.create_addon, **at) == "ResourceInUseException"
        addon = eks.describe_addon(**at)["addon"]
        assert (addon["status"], addon["health"]) == ("ACTIVE", {"issues": []})
        versions = eks.describe_addon_versions(addonName="coredns", kubernetesVersion="1.36")
        assert addon["addonVersion"] in str(versions)
        eks.tag_resource(resourceArn=addon["addonArn"], tags={"c": "d"})
        tags = eks.list_tags_for_resource(resourceArn=addon["addonArn"])["tags"]
        assert tags == {"a": "b", "c": "d"}
        eks.delete_addon(**at)
        assert eks.list_addons(clusterName="with-addons")["addons"] == []

    def test_access_entries_and_policies(self, client: Callable[..., Any]) -> None:
        eks = cluster(client, "entered")
        at = {"clusterName": "entered", "principalArn": "arn:aws:iam::123456789012:role/path/Team"}
        eks.create_access_entry(**at, kubernetesGroups=["viewers"])
        policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
        eks.associate_access_policy(
            **at, policyArn=policy, accessScope={"type": "namespace", "namespaces": ["default"]}
        )
        found = eks.list_associated_access_policies(**at)["associatedAccessPolicies"]
        assert [item["policyArn"] for item in found] == [policy]
        assert found[0]["accessScope"]["namespaces"] == ["default"]
        eks.disassociate_access_policy(**at, policyArn=policy)
        assert eks.list_associated_access_policies(**at)["associatedAccessPolicies"] == []
        entry = eks.describe_access_entry(**at)["accessEntry"]
        assert entry["username"].startswith("arn:aws:sts::123456789012:assumed-role/")
        assert eks.list_access_entries(clusterName="entered")["accessEntries"] == [
            at["principalArn"]
        ]
        eks.delete_access_entry(**at)
        assert refused(eks.describe_access_entry, **at) == "ResourceNotFoundException"

    def test_the_creator_is_administrator_unless_told_otherwise(
        self, client: Callable[..., Any]
    ) -> None:
        eks = client("eks")
        subnets = {"subnetIds": network(client("ec2"))}
        eks.create_cluster(name="mine", roleArn=ROLE, resourcesVpcConfig=subnets)
        creator = client("sts").get_caller_identity()["Arn"]
        assert creator.endswith(":user/learner")
        entries = eks.list_access_entries(clusterName="mine")["accessEntries"]
        assert entries == [creator]

    def test_pod_identities(self, client: Callable[..., Any]) -> None:
        eks = cluster(client, "identified")
        who = {"clusterName": "identified", "namespace": "kube-system", "serviceAccount": "x"}
        made = eks.create_pod_identity_association(**who, roleArn=ROLE)["association"]
        assert refused(eks.create_pod_identity_association, **who, roleArn=ROLE) == (
            "ResourceInUseException"
        )
        at = {"clusterName": "identified", "associationId": made["associationId"]}
        assert eks.describe_pod_identity_association(**at)["association"]["roleArn"] == ROLE
        found = eks.list_pod_identity_associations(clusterName="identified", namespace="other")
        assert found["associations"] == []
        eks.delete_pod_identity_association(**at)
        assert refused(eks.describe_pod_identity_association, **at) == "ResourceNotFoundException"

    def test_a_node_group_brings_instances_and_takes_them_away(
        self, client: Callable[..., Any]
    ) -> None:
        eks, ec2 = cluster(client, "grouped"), client("ec2")
        role = client("iam").create_role(RoleName="grouped", AssumeRolePolicyDocument="{}")
        subnets = eks.describe_cluster(name="grouped")["cluster"]["resourcesVpcConfig"]["subnetIds"]
        at = {"clusterName": "grouped", "nodegroupName": "core"}
        eks.create_nodegroup(
            **at,
            subnets=subnets,
            nodeRole=role["Role"]["Arn"],
            instanceTypes=["m5.xlarge"],
            scalingConfig={"minSize": 2, "maxSize": 4, "desiredSize": 2},
        )

        def running() -> list[Any]:
            filters = [
                {"Name": "tag:eks:cluster-name", "Values": ["grouped"]},
                {"Name": "instance-state-name", "Values": ["running"]},
            ]
            found = ec2.describe_instances(Filters=filters)["Reservations"]
            return [instance for item in found for instance in item["Instances"]]

        assert [item["InstanceType"] for item in running()] == ["m5.xlarge", "m5.xlarge"]
        assert len({item["SubnetId"] for item in running()}) == 2
        size = {"minSize": 2, "maxSize": 4, "desiredSize": 3}
        eks.update_nodegroup_config(**at, scalingConfig=size)
        assert len(running()) == 3
        assert refused(eks.delete_cluster, name="grouped") == "ResourceInUseException"
        eks.delete_nodegroup(**at)
        assert running() == []
        eks.delete_cluster(name="grouped")


class TestOtherServices:
    def test_a_nat_gateway_gives_its_address_back(self, client: Callable[..., Any]) -> None:
        ec2 = client("ec2")
        subnet = network(ec2)[0]
        address = ec2.allocate_address(Domain="vpc")["AllocationId"]
        tags = [{"ResourceType": "natgateway", "Tags": [{"Key": "of", "Value": "me"}]}]
        made = ec2.create_nat_gateway(
            SubnetId=subnet, AllocationId=address, TagSpecifications=tags
        )["NatGateway"]["NatGatewayId"]
        mine = [{"Name": "tag:of", "Values": ["me"]}]
        others = [{"Name": "tag:of", "Values": ["you"]}]
        assert [g["State"] for g in ec2.describe_nat_gateways(Filter=mine)["NatGateways"]] == [
            "available"
        ]
        assert ec2.describe_nat_gateways(Filter=others)["NatGateways"] == []
        ec2.delete_nat_gateway(NatGatewayId=made)
        ec2.release_address(AllocationId=address)

    def test_instance_types_are_found_by_pattern(self, client: Callable[..., Any]) -> None:
        offers = client("ec2", "us-west-2").describe_instance_type_offerings(
            LocationType="availability-zone",
            Filters=[{"Name": "instance-type", "Values": ["g6.*"]}],
        )["InstanceTypeOfferings"]
        assert {offer["InstanceType"].split(".")[0] for offer in offers} == {"g6"}

    def test_quotas_of_a_prepared_account(self, client: Callable[..., Any]) -> None:
        quotas = client("service-quotas")
        asked = {"ServiceCode": "ec2", "QuotaCode": "L-DB2E81BA"}
        assert quotas.get_service_quota(**asked)["Quota"]["Value"] == 64
        assert quotas.get_aws_default_service_quota(**asked)["Quota"]["Value"] == 0
        listed = quotas.list_service_quotas(ServiceCode="ec2")["Quotas"]
        assert asked["QuotaCode"] in {quota["QuotaCode"] for quota in listed}
        asked["QuotaCode"] = "L-NONE"
        assert refused(quotas.get_service_quota, **asked) == "NoSuchResourceException"

    def test_a_call_that_it_cannot_answer_is_refused_at_once(
        self, client: Callable[..., Any]
    ) -> None:
        assert refused(client("eks").list_capabilities, clusterName="x") == "SandboxGap"


class TestTime:
    def test_a_cluster_takes_its_time(self, slow_sandbox: control.Running) -> None:
        eks = cluster(lambda service: make_client(slow_sandbox, service), "timed")
        assert eks.describe_cluster(name="timed")["cluster"]["status"] == "CREATING"
        addon = {"clusterName": "timed", "addonName": "coredns"}
        assert refused(eks.create_addon, **addon) == "InvalidRequestException"
        assert refused(eks.delete_cluster, name="timed") == "ResourceInUseException"
        deadline = time.monotonic() + 30
        while eks.describe_cluster(name="timed")["cluster"]["status"] != "ACTIVE":
            assert time.monotonic() < deadline
            time.sleep(0.2)
        eks.create_addon(**addon)
        assert eks.describe_addon(**addon)["addon"]["status"] in ("CREATING", "ACTIVE")


def test_a_call_that_an_sdk_repeats_is_done_once(client: Callable[..., Any]) -> None:
    """Its answer got lost on the way, so the SDK sends it again with the same invocation id."""
    efs = client("efs")
    efs.meta.events.register(
        "before-send.efs.CreateFileSystem",
        lambda request, **_: request.headers.update({"amz-sdk-invocation-id": "one-and-the-same"}),
    )
    first, again = (efs.create_file_system(CreationToken="repeated") for _ in range(2))
    assert again["FileSystemId"] == first["FileSystemId"]
    efs = client("efs")
    assert refused(efs.create_file_system, CreationToken="repeated") == "FileSystemAlreadyExists"
