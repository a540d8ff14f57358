"""What the sandbox account adds to moto, through the SDK that also reaches AWS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jarkkit.model.errors import JarkkitError
from jarkkit.ports.aws import Account
from jarkkit.sandbox import daemon_client
from jarkkit.sandbox.account.eks_reference_data import addon_versions
from tests.support.account import (
    ROLE,
    cluster,
    ensure_role,
    error_code_of,
    make_client,
    network,
    sandbox_environment,
    subnets_of,
)
from tests.support.poll import wait_for


@pytest.fixture(scope="session")
def client(sandbox: daemon_client.RunningSandbox) -> Callable[..., Any]:
    """Clients of the shared sandbox."""
    return lambda service, region="eu-west-1": make_client(sandbox, service, region)


class TestClusters:
    def test_a_cluster_has_the_security_group_of_eks(self, client: Callable[..., Any]) -> None:
        eks = cluster(client, "whole")
        found = eks.describe_cluster(name="whole")["cluster"]
        assert found["status"] == "ACTIVE"
        assert found["accessConfig"]["authenticationMode"] == "API"
        assert found["upgradePolicy"]["supportType"] == "EXTENDED"
        group = found["resourcesVpcConfig"]["clusterSecurityGroupId"]
        tags = client("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["Tags"]
        assert {"Key": "aws:eks:cluster-name", "Value": "whole"} in tags
        eks.delete_cluster(name="whole")
        assert error_code_of(eks.describe_cluster, name="whole") == "ResourceNotFoundException"
        left = client("ec2").describe_security_groups(
            Filters=[{"Name": "group-id", "Values": [group]}]
        )
        assert left["SecurityGroups"] == []

    def test_an_invalid_cluster_is_rejected(self, client: Callable[..., Any]) -> None:
        eks, ec2 = client("eks"), client("ec2")
        valid_subnets = network(ec2)
        call = {"name": "bad", "roleArn": ensure_role(client("iam"))}
        wrong = {"resourcesVpcConfig": {"subnetIds": valid_subnets}, "version": "1.12"}
        assert error_code_of(eks.create_cluster, **call, **wrong) == "InvalidParameterException"
        one = {"resourcesVpcConfig": {"subnetIds": valid_subnets[:1]}}
        assert error_code_of(eks.create_cluster, **call, **one) == "InvalidParameterException"
        virginia = client("ec2", "us-east-1")
        zones = virginia.describe_availability_zones()["AvailabilityZones"]
        unsupported_zone = next(z["ZoneName"] for z in zones if z["ZoneId"] == "use1-az3")
        other = next(z["ZoneName"] for z in zones if z["ZoneId"] == "use1-az1")
        subnets = network(virginia, (unsupported_zone, other))
        code = error_code_of(
            client("eks", "us-east-1").create_cluster,
            **call,
            resourcesVpcConfig={"subnetIds": subnets},
        )
        assert code == "UnsupportedAvailabilityZoneException"

    def test_kubernetes_versions_are_listed_with_their_dates(
        self, client: Callable[..., Any]
    ) -> None:
        offered = client("eks").describe_cluster_versions()["clusterVersions"]
        assert offered[0]["clusterVersion"] > offered[-1]["clusterVersion"]
        assert all(v["endOfStandardSupportDate"] > v["releaseDate"] for v in offered)
        filtered = client("eks").describe_cluster_versions(clusterVersions=["1.36"])
        assert [v["clusterVersion"] for v in filtered["clusterVersions"]] == ["1.36"]

    def test_the_newest_builds_of_add_ons_are_found(
        self, sandbox: daemon_client.RunningSandbox
    ) -> None:
        account = Account("us-west-2", sandbox_environment(sandbox))
        found = account.newest_addon_versions(["kube-proxy", "coredns"], "1.35")
        assert found == {
            name: addon_versions(name, "1.35")[0] for name in ("kube-proxy", "coredns")
        }
        with pytest.raises(JarkkitError) as caught:
            account.newest_addon_versions(["no-such-addon"], "1.35")
        assert caught.value.code == "JK-ADDON-VERSION"

    def test_a_cluster_update_changes_one_setting_at_a_time(
        self, client: Callable[..., Any]
    ) -> None:
        eks = cluster(client, "updated")
        changes: dict[str, Any] = {
            "logging": {"clusterLogging": []},
            "upgradePolicy": {"supportType": "STANDARD"},
        }
        assert error_code_of(eks.update_cluster_config, name="updated", **changes) == (
            "InvalidParameterException"
        )
        del changes["logging"]
        update = eks.update_cluster_config(name="updated", **changes)["update"]
        done = eks.describe_update(name="updated", updateId=update["id"])["update"]
        assert done["status"] == "Successful"
        found = eks.describe_cluster(name="updated")["cluster"]
        assert found["upgradePolicy"]["supportType"] == "STANDARD"


class TestDeletionProtection:
    def test_a_protected_cluster_is_not_deleted(self, client: Callable[..., Any]) -> None:
        eks = cluster(client, "kept")
        assert eks.describe_cluster(name="kept")["cluster"]["deletionProtection"] is False
        update = eks.update_cluster_config(name="kept", deletionProtection=True)["update"]
        assert update["type"] == "DeletionProtectionUpdate"
        assert eks.describe_cluster(name="kept")["cluster"]["deletionProtection"] is True
        with pytest.raises(ClientError, match="deletion protection") as caught:
            eks.delete_cluster(name="kept")
        assert caught.value.response["Error"]["Code"] == "InvalidRequestException"
        assert eks.describe_cluster(name="kept")["cluster"]["status"] == "ACTIVE"
        eks.update_cluster_config(name="kept", deletionProtection=False)
        eks.delete_cluster(name="kept")

    def test_the_account_switches_it(
        self, sandbox: daemon_client.RunningSandbox, client: Callable[..., Any]
    ) -> None:
        eks = cluster(client, "switched")
        account = Account("eu-west-1", sandbox_environment(sandbox))
        for enabled in (True, False):
            account.set_deletion_protection("switched", enabled=enabled)
            found = account.cluster("switched")
            assert found is not None
            assert found.deletion_protection is enabled
        eks.delete_cluster(name="switched")


class TestClusterComponents:
    def test_addons_are_created_described_tagged_and_deleted(
        self, client: Callable[..., Any]
    ) -> None:
        eks = cluster(client, "with-addons")
        addon_key = {"clusterName": "with-addons", "addonName": "coredns"}
        wrong = error_code_of(eks.create_addon, **addon_key, addonVersion="v0.0.1-eksbuild.1")
        assert wrong == "InvalidParameterException"
        bad = error_code_of(eks.create_addon, **addon_key, configurationValues="not json")
        assert bad == "InvalidParameterException"
        eks.create_addon(**addon_key, configurationValues='{"replicaCount": 2}', tags={"a": "b"})
        assert error_code_of(eks.create_addon, **addon_key) == "ResourceInUseException"
        addon = eks.describe_addon(**addon_key)["addon"]
        assert (addon["status"], addon["health"]) == ("ACTIVE", {"issues": []})
        versions = eks.describe_addon_versions(addonName="coredns", kubernetesVersion="1.36")
        assert addon["addonVersion"] in str(versions)
        eks.tag_resource(resourceArn=addon["addonArn"], tags={"c": "d"})
        tags = eks.list_tags_for_resource(resourceArn=addon["addonArn"])["tags"]
        assert tags == {"a": "b", "c": "d"}
        eks.delete_addon(**addon_key)
        assert eks.list_addons(clusterName="with-addons")["addons"] == []

    def test_access_entries_are_created_with_policies_and_deleted(
        self, client: Callable[..., Any]
    ) -> None:
        eks = cluster(client, "entered")
        entry_key = {
            "clusterName": "entered",
            "principalArn": ensure_role(client("iam"), "arn:aws:iam::123456789012:role/path/Team"),
        }
        eks.create_access_entry(**entry_key, kubernetesGroups=["viewers"])
        policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
        eks.associate_access_policy(
            **entry_key,
            policyArn=policy,
            accessScope={"type": "namespace", "namespaces": ["default"]},
        )
        found = eks.list_associated_access_policies(**entry_key)["associatedAccessPolicies"]
        assert [item["policyArn"] for item in found] == [policy]
        assert found[0]["accessScope"]["namespaces"] == ["default"]
        eks.disassociate_access_policy(**entry_key, policyArn=policy)
        assert eks.list_associated_access_policies(**entry_key)["associatedAccessPolicies"] == []
        entry = eks.describe_access_entry(**entry_key)["accessEntry"]
        assert entry["username"].startswith("arn:aws:sts::123456789012:assumed-role/")
        assert eks.list_access_entries(clusterName="entered")["accessEntries"] == [
            entry_key["principalArn"]
        ]
        eks.delete_access_entry(**entry_key)
        assert error_code_of(eks.describe_access_entry, **entry_key) == "ResourceNotFoundException"

    def test_the_creator_is_administrator_by_default(self, client: Callable[..., Any]) -> None:
        eks = client("eks")
        subnets = {"subnetIds": network(client("ec2"))}
        role = ensure_role(client("iam"))
        mode = {"authenticationMode": "API"}
        eks.create_cluster(name="mine", roleArn=role, resourcesVpcConfig=subnets, accessConfig=mode)
        creator = client("sts").get_caller_identity()["Arn"]
        assert creator.endswith(":user/learner")
        entries = eks.list_access_entries(clusterName="mine")["accessEntries"]
        assert entries == [creator]

    def test_pod_identity_associations_are_created_and_deleted(
        self, client: Callable[..., Any]
    ) -> None:
        eks = cluster(client, "identified")
        identity = {"clusterName": "identified", "namespace": "kube-system", "serviceAccount": "x"}
        made = eks.create_pod_identity_association(**identity, roleArn=ROLE)["association"]
        assert error_code_of(eks.create_pod_identity_association, **identity, roleArn=ROLE) == (
            "ResourceInUseException"
        )
        association_key = {"clusterName": "identified", "associationId": made["associationId"]}
        assert (
            eks.describe_pod_identity_association(**association_key)["association"]["roleArn"]
            == ROLE
        )
        found = eks.list_pod_identity_associations(clusterName="identified", namespace="other")
        assert found["associations"] == []
        eks.delete_pod_identity_association(**association_key)
        assert (
            error_code_of(eks.describe_pod_identity_association, **association_key)
            == "ResourceNotFoundException"
        )

    def test_a_node_group_launches_and_terminates_its_instances(
        self, client: Callable[..., Any]
    ) -> None:
        eks, ec2 = cluster(client, "grouped"), client("ec2")
        role = client("iam").create_role(RoleName="grouped", AssumeRolePolicyDocument="{}")
        subnets = subnets_of(eks, "grouped")
        group_key = {"clusterName": "grouped", "nodegroupName": "core"}
        eks.create_nodegroup(
            **group_key,
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
        eks.update_nodegroup_config(**group_key, scalingConfig=size)
        assert len(running()) == 3
        assert error_code_of(eks.delete_cluster, name="grouped") == "ResourceInUseException"
        eks.delete_nodegroup(**group_key)
        assert running() == []
        eks.delete_cluster(name="grouped")

    def test_a_node_group_rolls_out_the_instance_type_of_its_launch_template(
        self, client: Callable[..., Any]
    ) -> None:
        eks, ec2 = cluster(client, "templated"), client("ec2")
        role = client("iam").create_role(RoleName="templated", AssumeRolePolicyDocument="{}")
        template = ec2.create_launch_template(
            LaunchTemplateName="templated", LaunchTemplateData={"InstanceType": "m5.xlarge"}
        )["LaunchTemplate"]["LaunchTemplateId"]
        group_key = {"clusterName": "templated", "nodegroupName": "core"}
        vpc = eks.describe_cluster(name="templated")["cluster"]["resourcesVpcConfig"]
        group = eks.create_nodegroup(
            **group_key,
            subnets=vpc["subnetIds"],
            nodeRole=role["Role"]["Arn"],
            launchTemplate={"id": template, "version": "1"},
        )["nodegroup"]
        assert not group.get("instanceTypes")

        def running() -> list[str]:
            filters = [
                {"Name": "tag:eks:cluster-name", "Values": ["templated"]},
                {"Name": "instance-state-name", "Values": ["running"]},
            ]
            found = ec2.describe_instances(Filters=filters)["Reservations"]
            return [instance["InstanceType"] for item in found for instance in item["Instances"]]

        assert set(running()) == {"m5.xlarge"}
        ec2.create_launch_template_version(
            LaunchTemplateId=template, LaunchTemplateData={"InstanceType": "m6i.xlarge"}
        )
        eks.update_nodegroup_version(**group_key, launchTemplate={"id": template, "version": "2"})
        assert set(running()) == {"m6i.xlarge"}
        eks.delete_nodegroup(**group_key)


class TestOtherServices:
    def test_a_deleted_nat_gateway_releases_its_address(self, client: Callable[..., Any]) -> None:
        ec2 = client("ec2")
        subnet = network(ec2)[0]
        address = ec2.allocate_address(Domain="vpc")["AllocationId"]
        tags = [{"ResourceType": "natgateway", "Tags": [{"Key": "of", "Value": "me"}]}]
        gateway = ec2.create_nat_gateway(
            SubnetId=subnet, AllocationId=address, TagSpecifications=tags
        )["NatGateway"]["NatGatewayId"]
        mine = [{"Name": "tag:of", "Values": ["me"]}]
        others = [{"Name": "tag:of", "Values": ["you"]}]
        assert [g["State"] for g in ec2.describe_nat_gateways(Filter=mine)["NatGateways"]] == [
            "available"
        ]
        assert ec2.describe_nat_gateways(Filter=others)["NatGateways"] == []
        ec2.delete_nat_gateway(NatGatewayId=gateway)
        ec2.release_address(AllocationId=address)

    def test_instance_types_are_found_by_pattern(self, client: Callable[..., Any]) -> None:
        offers = client("ec2", "us-west-2").describe_instance_type_offerings(
            LocationType="availability-zone",
            Filters=[{"Name": "instance-type", "Values": ["g6.*"]}],
        )["InstanceTypeOfferings"]
        assert {offer["InstanceType"].split(".")[0] for offer in offers} == {"g6"}

    def test_a_prepared_account_has_raised_quotas(self, client: Callable[..., Any]) -> None:
        quotas = client("service-quotas")
        asked = {"ServiceCode": "ec2", "QuotaCode": "L-DB2E81BA"}
        assert quotas.get_service_quota(**asked)["Quota"]["Value"] == 64
        assert quotas.get_aws_default_service_quota(**asked)["Quota"]["Value"] == 0
        listed = quotas.list_service_quotas(ServiceCode="ec2")["Quotas"]
        assert asked["QuotaCode"] in {quota["QuotaCode"] for quota in listed}
        asked["QuotaCode"] = "L-NONE"
        assert error_code_of(quotas.get_service_quota, **asked) == "NoSuchResourceException"

    def test_an_unsupported_call_is_rejected_at_once(self, client: Callable[..., Any]) -> None:
        assert error_code_of(client("eks").list_capabilities, clusterName="x") == "SandboxGap"


class TestTime:
    def test_a_cluster_is_creating_for_some_time(
        self, slow_sandbox: daemon_client.RunningSandbox
    ) -> None:
        eks = cluster(lambda service: make_client(slow_sandbox, service), "timed")
        assert eks.describe_cluster(name="timed")["cluster"]["status"] == "CREATING"
        addon = {"clusterName": "timed", "addonName": "coredns"}
        assert error_code_of(eks.create_addon, **addon) == "InvalidRequestException"
        assert error_code_of(eks.delete_cluster, name="timed") == "ResourceInUseException"
        described = lambda: eks.describe_cluster(name="timed")["cluster"]  # noqa: E731
        wait_for(lambda: described()["status"] == "ACTIVE", 30)
        eks.create_addon(**addon)
        assert eks.describe_addon(**addon)["addon"]["status"] in ("CREATING", "ACTIVE")


def test_a_call_that_an_sdk_retries_runs_once(client: Callable[..., Any]) -> None:
    """The answer was lost, so the SDK sends the call again with the same invocation ID."""
    efs = client("efs")
    efs.meta.events.register(
        "before-send.efs.CreateFileSystem",
        lambda request, **_: request.headers.update({"amz-sdk-invocation-id": "one-and-the-same"}),
    )
    first, again = (efs.create_file_system(CreationToken="repeated") for _ in range(2))
    assert again["FileSystemId"] == first["FileSystemId"]
    efs = client("efs")
    assert (
        error_code_of(efs.create_file_system, CreationToken="repeated") == "FileSystemAlreadyExists"
    )
