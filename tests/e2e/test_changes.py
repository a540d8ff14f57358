"""Settings that change after the first deploy, with the real Terraform."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from jarkkit.sandbox import daemon_client
from tests.support.account import error_code_of, make_client, sandbox_environment
from tests.support.deployments import CliDeployment
from tests.support.stacks import BARE

REGION = "us-west-2"


@pytest.fixture(scope="module")
def deployed(
    tmp_path_factory: pytest.TempPathFactory,
    sandbox: daemon_client.RunningSandbox,
    terraform: str,
) -> CliDeployment:
    """One deployment that all tests change; the last one removes it."""
    home = tmp_path_factory.mktemp("changed")
    cli = CliDeployment(home, "changed", sandbox_environment(sandbox))
    cli.make(**BARE, cluster_version="1.35", artifact_bucket=True)
    cli.ok("plan", cli.name)
    cli.ok("deploy", cli.name, "--yes")
    return cli


def test_zones_nodes_and_versions_change_in_place(
    deployed: CliDeployment, sandbox: daemon_client.RunningSandbox, terraform: str
) -> None:
    cli, eks = deployed, make_client(sandbox, "eks", REGION)
    initial = cluster_zones(sandbox, cli.name)

    cli.deployment.configure(
        {
            "az_count": 3,
            "core_nodes": 3,
            "core_instance_type": "m6i.xlarge",
            "cluster_version": "1.36",
            "static_gpu_nodes": 2,
        }
    )
    deploy_in_place(cli)
    group = eks.describe_nodegroup(clusterName=cli.name, nodegroupName="core")["nodegroup"]
    assert eks.describe_cluster(name=cli.name)["cluster"]["version"] == group["version"] == "1.36"
    assert group["releaseVersion"].startswith("1.36.")
    assert group["scalingConfig"] == {"minSize": 3, "maxSize": 4, "desiredSize": 3}
    assert instance_types(sandbox, cli.name) == ["g6.4xlarge"] * 2 + ["m6i.xlarge"] * 3
    assert len(initial) == 2
    assert cluster_zones(sandbox, cli.name) == initial
    zones = cli.deployment.workspace.tfvars()["availability_zones"]
    assert len(zones) == 3
    assert set(zones) > initial

    cli.deployment.configure({"core_nodes": 2, "static_gpu_nodes": 1})
    deploy_in_place(cli)
    assert instance_types(sandbox, cli.name) == ["g6.4xlarge"] + ["m6i.xlarge"] * 2
    assert cli.terraform_plan(terraform) == 0


def test_what_is_destroyed_is_named_and_needs_the_name(
    deployed: CliDeployment, sandbox: daemon_client.RunningSandbox, terraform: str
) -> None:
    cli = deployed
    eks, efs = (make_client(sandbox, service, REGION) for service in ("eks", "efs"))
    files = file_systems(efs, cli.name)
    assert len(files) == 1
    assert eks.describe_cluster(name=cli.name)["cluster"]["deletionProtection"] is True

    # Files outlive the add-ons.
    off = {**BARE["addons"], "aws-efs-csi-driver": False}
    cli.deployment.configure({"addons": off})
    cli.ok("plan", cli.name)
    cli.ok("deploy", cli.name, "--yes")
    assert file_systems(efs, cli.name) == files

    # The file system and the bucket go only with the name.
    cli.deployment.configure({"shared_files": False, "artifact_bucket": False})
    text = cli.ok("plan", cli.name)
    assert f"destroy file system {cli.name} ({files[0]}): all files on it" in text
    assert f"destroy bucket {cli.name}-artifacts" in text
    assert refused(cli, "--yes")
    assert refused(cli, "--yes", "--confirm", "another")
    assert file_systems(efs, cli.name) == files
    cli.ok("deploy", cli.name, "--yes", "--confirm", cli.name)
    assert file_systems(efs, cli.name) == []

    # Another network replaces the cluster, and all that AWS deletes with it.
    before = eks.describe_cluster(name=cli.name)["cluster"]["createdAt"]
    cli.deployment.configure({"vpc_cidr": "10.40.0.0/16"})
    plan = json.loads(cli.ok("plan", cli.name, "--json"))
    lost = {item["resource"].split()[0] for item in plan["losses"] if item["action"] == "replace"}
    assert {"cluster", "VPC", "subnet", "node"} <= lost
    assert refused(cli, "--yes")
    assert eks.describe_cluster(name=cli.name)["cluster"]["createdAt"] == before
    assert error_code_of(eks.delete_cluster, name=cli.name) == "InvalidRequestException"
    cli.ok("deploy", cli.name, "--yes", "--confirm", cli.name)
    replaced = eks.describe_cluster(name=cli.name)["cluster"]
    assert replaced["createdAt"] > before
    assert replaced["deletionProtection"] is True
    assert cli.terraform_plan(terraform) == 0

    cli.ok("cleanup", cli.name, "--confirm", cli.name)
    receipt = cli.deployment.last_receipt()
    assert receipt is not None
    assert receipt.clean


def refused(cli: CliDeployment, *options: str) -> bool:
    """Return True if the deploy stops before its first change because the name is missing."""
    entries = cli.deployment.ledger_entries()
    done = cli.run("deploy", cli.name, "--json", *options)
    error = json.loads(done.stdout)["error"]
    assert f"--confirm {cli.name}" in error["fix"]
    return error["code"] == "JK-CONFIRM" and cli.deployment.ledger_entries() == entries


def file_systems(efs: Any, name: str) -> list[str]:
    """Return the ids of the deployment's file systems."""
    found = efs.describe_file_systems(CreationToken=name)["FileSystems"]
    return [item["FileSystemId"] for item in found]


def test_an_existing_vpc_is_used_as_it_is(
    new_cli_deployment: Callable[[str], CliDeployment],
    sandbox: daemon_client.RunningSandbox,
    terraform: str,
) -> None:
    """With two private subnets in one zone, of which EFS gets one mount target each."""
    cli, ec2 = new_cli_deployment("brought"), make_client(sandbox, "ec2", REGION)
    vpc_id, private = vpc_with_nat(ec2, ("a", "a", "b"))
    addons = {**BARE["addons"], "aws-efs-csi-driver": True}
    cli.make(**{**BARE, "addons": addons}, vpc_id=vpc_id, private_subnet_ids=private)
    found = {check.name: check for check in cli.deployment.preflight().checks}
    for name in ("Existing VPC", "DNS in the VPC", "Way out of the private subnets"):
        assert found[name].status == "pass", found[name]
    cli.ok("plan", cli.name)
    cli.ok("deploy", cli.name, "--yes")
    assert cli.deployment.workspace.tfvars()["availability_zones"] == [f"{REGION}a", f"{REGION}b"]
    assert cli.resource_counts()["aws_efs_mount_target"] == 2
    more = ec2.create_subnet(VpcId=vpc_id, CidrBlock="10.20.64.0/20", AvailabilityZone=f"{REGION}c")
    added = [*private, more["Subnet"]["SubnetId"]]
    cli.deployment.configure({"private_subnet_ids": added})
    deploy_in_place(cli)
    assert cli.resource_counts()["aws_efs_mount_target"] == 3
    assert cluster_zones(sandbox, cli.name) == {f"{REGION}a", f"{REGION}b"}
    rejected = cli.run("configure", cli.name, "-p", f"private_subnet_ids={added[1:]}")
    assert "JK-SETTINGS-FIXED" in rejected.stderr
    assert cli.terraform_plan(terraform) == 0


def vpc_with_nat(ec2: Any, letters: tuple[str, ...]) -> tuple[str, list[str]]:
    """Create a VPC whose private subnets, one per letter of a zone, have a NAT gateway."""
    vpc_id = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc_id, EnableDnsHostnames={"Value": True})

    def subnet(index: int, letter: str) -> str:
        block = {"VpcId": vpc_id, "CidrBlock": f"10.20.{index * 16}.0/20"}
        made = ec2.create_subnet(**block, AvailabilityZone=f"{REGION}{letter}")
        return str(made["Subnet"]["SubnetId"])

    def table(subnets: list[str], **target: str) -> None:
        made = ec2.create_route_table(VpcId=vpc_id)["RouteTable"]["RouteTableId"]
        ec2.create_route(RouteTableId=made, DestinationCidrBlock="0.0.0.0/0", **target)
        for each in subnets:
            ec2.associate_route_table(RouteTableId=made, SubnetId=each)

    private = [subnet(index, letter) for index, letter in enumerate(letters)]
    public = subnet(15, letters[0])
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc_id)
    table([public], GatewayId=gateway)
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=public, AllocationId=address)["NatGateway"]
    table(private, NatGatewayId=nat["NatGatewayId"])
    return vpc_id, private


def deploy_in_place(cli: CliDeployment) -> None:
    """Plan and deploy; the plan may only create and update."""
    cli.ok("plan", cli.name)
    plan = cli.deployment.last_plan()
    assert plan is not None
    assert {change.action for change in plan.changes} <= {"create", "update"}
    cli.ok("deploy", cli.name, "--yes")


def cluster_zones(sandbox: daemon_client.RunningSandbox, name: str) -> set[str]:
    """Return the zones of the control plane's subnets."""
    cluster = make_client(sandbox, "eks", REGION).describe_cluster(name=name)["cluster"]
    subnets = make_client(sandbox, "ec2", REGION).describe_subnets(
        SubnetIds=cluster["resourcesVpcConfig"]["subnetIds"]
    )["Subnets"]
    return {subnet["AvailabilityZone"] for subnet in subnets}


def instance_types(sandbox: daemon_client.RunningSandbox, name: str) -> list[str]:
    """Return the types of the deployment's running instances, sorted."""
    filters: list[Any] = [
        {"Name": "tag:jarkkit:deployment", "Values": [name]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    found = make_client(sandbox, "ec2", REGION).describe_instances(Filters=filters)["Reservations"]
    return sorted(item["InstanceType"] for group in found for item in group["Instances"])
