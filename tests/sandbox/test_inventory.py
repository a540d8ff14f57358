"""Which resources belong to a deployment: a matching name alone is not enough."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from jarkkit.decisions.costs.actuals import with_monthly_prices
from jarkkit.decisions.costs.price_table import PriceTable
from jarkkit.decisions.ownership import Ownership
from jarkkit.model.errors import JarkkitError
from jarkkit.ports.aws import Account, removal
from jarkkit.ports.aws.inventory import SCANNERS, ScanContext
from jarkkit.ports.aws.session import AwsSession
from jarkkit.sandbox import daemon_client
from tests.support.account import IMAGE, cluster, make_client, network, sandbox_environment
from tests.support.orphans import plant_foreign, plant_orphans, specification

REGION = "eu-west-1"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "pods.eks.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)
NOTHING = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}],
    }
)


def create_all_kinds(client: Callable[[str], Any], name: str, tags: dict[str, str]) -> None:
    """Create one resource of each kind that the inventory finds by name, with these tags."""
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    iam, kms = client("iam"), client("kms")
    iam.create_role(RoleName=f"{name}-{REGION}-node", AssumeRolePolicyDocument=TRUST, Tags=pairs)
    iam.create_policy(PolicyName=f"{name}-{REGION}-x", PolicyDocument=NOTHING, Tags=pairs)
    iam.create_instance_profile(InstanceProfileName=f"{name}-{REGION}-node", Tags=pairs)
    key = kms.create_key(Tags=[{"TagKey": k, "TagValue": v} for k, v in tags.items()])
    kms.create_alias(AliasName=f"alias/eks/{name}", TargetKeyId=key["KeyMetadata"]["KeyId"])
    client("sqs").create_queue(QueueName=f"karpenter-{name}", tags=tags)
    s3, bucket = client("s3"), f"{name}-artifacts-1"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    if pairs:
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": pairs})
    client("amp").create_workspace(alias=name, tags=tags)
    client("budgets").create_budget(
        AccountId=client("sts").get_caller_identity()["Account"],
        Budget={
            "BudgetName": name,
            "BudgetLimit": {"Amount": "10", "Unit": "USD"},
            "TimeUnit": "MONTHLY",
            "BudgetType": "COST",
        },
        ResourceTags=pairs,
    )


def found_types(sandbox: daemon_client.RunningSandbox, deployment: str) -> set[str]:
    found, _, denied = Account(REGION, sandbox_environment(sandbox)).scan_resources(deployment)
    assert denied == ()
    return {owned.terraform_type for owned in found}


def test_resources_with_the_deployments_tag_are_found(
    sandbox: daemon_client.RunningSandbox, client: Callable[[str], Any]
) -> None:
    create_all_kinds(client, "mine", {"jarkkit:deployment": "mine"})
    assert found_types(sandbox, "mine") == {
        "aws_iam_role",
        "aws_iam_policy",
        "aws_iam_instance_profile",
        "aws_kms_key",
        "aws_kms_alias",
        "aws_sqs_queue",
        "aws_s3_bucket",
        "aws_prometheus_workspace",
        "aws_budgets_budget",
    }


@pytest.mark.parametrize(
    ("name", "tags"), [("untagged", {}), ("others", {"jarkkit:deployment": "another"})]
)
def test_resources_with_only_the_deployments_name_are_not_found(
    sandbox: daemon_client.RunningSandbox,
    client: Callable[[str], Any],
    name: str,
    tags: dict[str, str],
) -> None:
    create_all_kinds(client, name, tags)
    assert found_types(sandbox, name) == set()


def test_a_log_group_is_found_by_its_name(
    sandbox: daemon_client.RunningSandbox, client: Callable[[str], Any]
) -> None:
    client("logs").create_log_group(logGroupName="/aws/eks/logged-alone/cluster")
    assert found_types(sandbox, "logged-alone") == {"aws_cloudwatch_log_group"}


def test_a_region_without_managed_prometheus_can_be_scanned(
    faulty_sandbox: daemon_client.RunningSandbox,
) -> None:
    account = Account(REGION, sandbox_environment(faulty_sandbox))
    daemon_client.set_faults(faulty_sandbox.home, ["api-unreachable:aps"])
    found, scanned, denied = account.scan_resources("unowned")
    daemon_client.set_faults(faulty_sandbox.home, ["api-unreachable:ec2"])
    with pytest.raises(JarkkitError):
        account.scan_resources("unowned")
    daemon_client.set_faults(faulty_sandbox.home, ())
    assert found == ()
    assert denied == ("amp workspaces: JK-AWS-UNREACHABLE",)
    assert "kms keys" in scanned


@pytest.fixture
def faulty_sandbox(tmp_path: Path) -> Iterator[daemon_client.RunningSandbox]:
    yield daemon_client.start(tmp_path, account_only=True)
    daemon_client.stop(tmp_path)


class FakeKms:
    """KMS with keys, some of which the caller cannot read."""

    def __init__(self, **tags: dict[str, str] | None) -> None:
        self.tags = tags

    def can_paginate(self, _operation: str) -> bool:
        return False

    def list_keys(self) -> dict[str, Any]:
        return {"Keys": [{"KeyId": key} for key in self.tags]}

    def describe_key(self, KeyId: str) -> dict[str, Any]:  # noqa: N803
        if self.tags[KeyId] is None:
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "DescribeKey")
        return {"KeyMetadata": {"KeyManager": "CUSTOMER", "KeyState": "Enabled"}}

    def list_resource_tags(self, KeyId: str) -> dict[str, Any]:  # noqa: N803
        pairs = (self.tags[KeyId] or {}).items()
        return {"Tags": [{"TagKey": key, "TagValue": value} for key, value in pairs]}


class FakeKmsSession:
    """A session that has only KMS."""

    region = REGION

    def __init__(self, keys: FakeKms) -> None:
        self.keys = keys

    def client(self, _service: str) -> FakeKms:
        return self.keys


def found_keys(**tags: dict[str, str] | None) -> list[str]:
    context = ScanContext(cast("AwsSession", FakeKmsSession(FakeKms(**tags))), Ownership("mine"))
    return [owned.import_id for owned in SCANNERS["kms keys"](context)]


def test_unreadable_keys_do_not_hide_the_others() -> None:
    own = {"jarkkit:deployment": "mine"}
    assert found_keys(locked=None, own=own, others={}) == ["own"]


def test_a_scan_fails_when_no_key_is_readable() -> None:
    with pytest.raises(ClientError):
        found_keys(locked=None, locked_too=None)


def test_scanned_services_have_readable_names() -> None:
    assert {"ec2 VPCs", "ec2 NAT gateways", "ec2 network interfaces", "budgets"} <= set(SCANNERS)


def test_a_resource_with_more_tags_is_found(account: Account, client: Callable[[str], Any]) -> None:
    tags = [{"Key": "jarkkit:deployment", "Value": "tagged"}, {"Key": "Name", "Value": "core"}]
    client("ec2").create_launch_template(
        LaunchTemplateName="tagged-core",
        LaunchTemplateData={"InstanceType": "m5.large"},
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": tags}],
    )
    (found,) = account.scan_resources("tagged").found
    assert (found.terraform_type, found.name) == ("aws_launch_template", "tagged-core")
    assert not found.of_cluster
    assert account.delete_resource("tagged", found)


def test_tags_of_controllers_prove_nothing_while_the_cluster_cannot_be_read(
    faulty_sandbox: daemon_client.RunningSandbox,
) -> None:
    """It may be another's cluster, whose controllers use the same tags."""
    account = Account(REGION, sandbox_environment(faulty_sandbox))
    tags = specification("volume", {"kubernetes.io/cluster/unread": "owned"})
    make_client(faulty_sandbox, "ec2", REGION).create_volume(
        AvailabilityZone=f"{REGION}a", Size=1, TagSpecifications=tags
    )
    daemon_client.set_faults(faulty_sandbox.home, ["access-denied:eks.DescribeCluster"])
    found, _, refused = account.scan_resources("unread")
    daemon_client.set_faults(faulty_sandbox.home, ())
    assert found == ()
    assert "eks clusters and their components: JK-AWS-DENIED" in refused
    assert {entry.partition(":")[0] for entry in refused if "JK-AWS-DENIED" in entry} > {
        "ec2 volumes",
        "elbv2 load balancers",
        "ec2 network interfaces",
    }
    assert not [entry for entry in refused if entry.startswith(("ec2 VPCs", "kms", "s3"))]
    found, _, refused = account.scan_resources("unread")
    assert ([o.terraform_type for o in found], refused) == (["aws_ebs_volume"], ())


class TestOrphans:
    """What controllers leave behind: found by their own tags, priced, and removed."""

    def test_all_orphans_are_found_priced_and_removed_and_foreign_resources_stay(
        self, account: Account, client: Callable[[str], Any]
    ) -> None:
        name, subnets = "orphaned", network(client("ec2"))
        remaining = plant_foreign(client, name, subnets)
        planted = plant_orphans(client, name, subnets)
        assert (len(planted), remaining()) == (20, 5)
        found, _, refused = account.scan_resources(name)
        assert refused == ()
        assert {(o.terraform_type, o.import_id) for o in found} == planted
        assert all(o.proof for o in found)
        priced = with_monthly_prices(found, PriceTable.shipped(), REGION)
        assert [o.import_id for o in priced if o.usd_per_month is None] == []
        assert {o.terraform_type for o in priced if o.usd_per_month} >= {
            "aws_elb",
            "aws_lb",
            "aws_ebs_volume",
            "aws_fsx_file_system",
            "aws_ec2_capacity_reservation",
        }
        for owned in sorted(found, key=lambda o: removal.ORDER.index(o.terraform_type)):
            assert account.delete_resource(name, owned), owned
        assert account.scan_resources(name).found == ()
        assert remaining() == 5

    def test_a_resource_in_use_is_not_deleted_yet(
        self, account: Account, client: Callable[[str], Any]
    ) -> None:
        name, subnets = "in-use", network(client("ec2"))
        plant_orphans(client, name, subnets)
        found = account.scan_resources(name).found
        group = next(o for o in found if o.terraform_type == "aws_security_group")
        assert not account.delete_resource(name, group)

    def test_tags_of_a_foreign_cluster_of_the_same_name_prove_nothing(
        self, account: Account, client: Callable[[str], Any]
    ) -> None:
        cluster(client, "same-name")
        plant_orphans(client, "same-name", network(client("ec2")))
        found = account.scan_resources("same-name").found
        assert {o.proof for o in found} == {"jarkkit:deployment=same-name"}
        assert not [o for o in found if o.terraform_type == "aws_cloudwatch_log_group"]

    def test_what_the_account_shares_or_aws_deletes_itself_is_kept(
        self, account: Account, client: Callable[[str], Any]
    ) -> None:
        client("logs").create_log_group(logGroupName="/aws/application-signals/data")
        kms = client("kms")
        tags = [{"TagKey": "jarkkit:deployment", "TagValue": "kept"}]
        key = kms.create_key(Tags=tags)["KeyMetadata"]["KeyId"]
        kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        assert account.scan_resources("kept").found == ()
        found = account.scan_resources("kept", kept=True).found
        assert {o.terraform_type for o in found if o.why_kept} == {
            "aws_cloudwatch_log_group",
            "aws_kms_key",
        }

    def test_interfaces_of_the_deployments_nodes_are_found_without_the_clusters_name(
        self, account: Account, client: Callable[[str], Any]
    ) -> None:
        ec2, subnets = client("ec2"), network(client("ec2"))
        image = client("ssm").get_parameter(Name=IMAGE)["Parameter"]["Value"]
        node = ec2.run_instances(
            ImageId=image,
            InstanceType="m5.large",
            MinCount=1,
            MaxCount=1,
            SubnetId=subnets[0],
            TagSpecifications=specification("instance", {"jarkkit:deployment": "noded"}),
        )["Instances"][0]["InstanceId"]
        ec2.terminate_instances(InstanceIds=[node])
        ec2.create_network_interface(
            SubnetId=subnets[0],
            TagSpecifications=specification(
                "network-interface", {"node.k8s.amazonaws.com/instance_id": node}
            ),
        )
        (found,) = account.scan_resources("noded").found
        assert found.terraform_type == "aws_network_interface"
