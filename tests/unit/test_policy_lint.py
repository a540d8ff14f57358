"""Every policy that jarkkit writes, against AWS' tables of actions, resources and conditions."""

from __future__ import annotations

import json
from pathlib import Path
from string import Template
from typing import Any

import pytest

from jarkkit.catalog.addons import addon_catalog
from jarkkit.decisions.permissions import needed_statements
from jarkkit.decisions.permissions.policy import policy_document
from jarkkit.decisions.permissions.simulation import simulation_requests
from jarkkit.sandbox.account.iam.policies import RequiredPermission, evaluate
from jarkkit.settings import Settings
from tests.support.stacks import resolved
from tools.policy_lint import WITHOUT_VALUE, lint_policies, lint_trust, overlap
from tools.service_authorization import GLOBAL_KEYS, find_action

DOCS = Path(__file__).parents[2] / "docs"
ACCOUNT = "123456789012"
ARN = f"arn:aws:%s:us-west-2:{ACCOUNT}:%s"
TAG = "aws:ResourceTag/jarkkit:deployment"

EVERYTHING: dict[str, Any] = {
    "artifact_bucket": True,
    "managed_prometheus": True,
    "budget_usd_per_month": 1,
    "budget_emails": ["a@example.org"],
    "state_bucket": "states",
    "huggingface_token": "arn:aws:secretsmanager:us-west-2:123456789012:secret:token-AbCdEf",
    "addons": {name: True for name in addon_catalog() if name != "gpu-operator"},
}
EXISTING_VPC: dict[str, Any] = {
    "vpc_id": "vpc-0123456789abcdef0",
    "private_subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
}
DEPLOYMENTS: dict[str, dict[str, Any]] = {
    "default": {},
    "everything": EVERYTHING,
    "existing-vpc": {**EVERYTHING, **EXISTING_VPC},
    "china": {"region": "cn-north-1"},
    "boundary": {"permissions_boundary_arn": f"arn:aws:iam::{ACCOUNT}:policy/boundary"},
}
# The words of terraform/identity.tf.
WORDS = {
    "partition": "aws",
    "region": "us-west-2",
    "account_id": ACCOUNT,
    "cluster_name": "demo",
    "cluster_arn": ARN % ("eks", "cluster/demo"),
    "artifact_bucket": f"demo-artifacts-{ACCOUNT}-us-west-2",
}


def policies_of_addons() -> dict[str, dict[str, Any]]:
    identities = resolved(Settings.from_values(EVERYTHING)).pod_identities
    return {
        name: json.loads(Template(identity["policy"]).substitute(WORDS))
        for name, identity in identities.items()
        if identity["policy"]
    }


OF_ADDONS = policies_of_addons()
CONTROLLER = OF_ADDONS["aws-load-balancer-controller"]


class TestOurPolicies:
    @pytest.mark.parametrize("name", DEPLOYMENTS)
    def test_the_deployer_s(self, name: str) -> None:
        statements = needed_statements(resolved(Settings.from_values(DEPLOYMENTS[name])), ACCOUNT)
        assert lint_policies([policy_document(statements)], WITHOUT_VALUE) == []

    def test_the_published_ones(self) -> None:
        files = sorted((DOCS / "iam-policy").glob("*.json"))
        documents = [json.loads(path.read_text()) for path in files]
        assert len(documents) >= 3
        assert lint_policies(documents, WITHOUT_VALUE) == []

    @pytest.mark.parametrize("name", OF_ADDONS)
    def test_those_of_addons(self, name: str) -> None:
        assert lint_policies([OF_ADDONS[name]]) == []

    @pytest.mark.parametrize("name", DEPLOYMENTS)
    def test_the_simulator_is_asked_only_with_keys_that_calls_have(self, name: str) -> None:
        settings = Settings.from_values(DEPLOYMENTS[name])
        for request in simulation_requests(needed_statements(resolved(settings), ACCOUNT)):
            for action in request.actions:
                statement = {
                    "Effect": "Allow",
                    "Action": action,
                    "Resource": list(request.resources),
                    "Condition": {"StringEquals": dict(request.context)},
                }
                found = lint_policies([{"Statement": statement}], WITHOUT_VALUE)
                assert not [f for f in found if "condition key" in f or action + " with" in f]


def allow(action: str | list[str], resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {
        "Statement": [
            {"Sid": "S", "Effect": "Allow", "Action": action, "Resource": resource, **more}
        ]
    }


CLUSTER = ARN % ("eks", "cluster/demo")
KEY = ARN % ("kms", "key/*")
SUBNET = ARN % ("ec2", "subnet/*")
FOR_AWS = {"Bool": {"kms:GrantIsForAWSResource": "true"}}


class TestFindings:
    @pytest.mark.parametrize(
        ("policy", "finding"),
        [
            (allow("eks:MakeCluster"), "AWS has no action eks:MakeCluster"),
            (allow("eksx:*"), "AWS has no action eksx:*"),
            (allow("eks:CreateCluster", CLUSTER), "eks:CreateCluster does not apply to"),
            (allow("eks:DescribeCluster", ARN % ("eks", "addon/demo/*")), "does not apply to"),
            (allow("eks:DescribeCluster", [CLUSTER, KEY]), f"no action applies to {KEY}"),
            (allow("s3:ListBucket", "arn:aws:s3:::states/*"), "s3:ListBucket does not apply to"),
            (
                allow("eks:CreateCluster", Condition=FOR_AWS),
                "eks:CreateCluster has no condition key kms:GrantIsForAWSResource",
            ),
            (
                allow(
                    "ec2:CreateVpc", ARN % ("ec2", "vpc/*"), Condition={"StringEquals": {TAG: "a"}}
                ),
                f"ec2:CreateVpc has no condition key {TAG}",
            ),
            (
                allow(
                    "ec2:DescribeVpcs",
                    Condition={"StringEquals": {"aws:RequestTag/a": "b"}},
                ),
                "ec2:DescribeVpcs has no condition key aws:RequestTag/a",
            ),
            (allow("ec2:CreateSubnet", SUBNET), "ec2:CreateSubnet is allowed on no vpc"),
        ],
    )
    def test_what_has_no_effect_is_found(self, policy: dict[str, Any], finding: str) -> None:
        assert any(finding in found for found in lint_policies([policy])), lint_policies([policy])

    def test_a_key_without_value_in_the_principal_s_calls_is_found(self) -> None:
        policy = allow("kms:CreateGrant", KEY, Condition=FOR_AWS)
        assert lint_policies([policy]) == []
        (found,) = lint_policies([policy], WITHOUT_VALUE)
        assert found.startswith("S: kms:CreateGrant with kms:GrantIsForAWSResource")

    def test_types_that_a_call_needs_may_be_allowed_in_several_policies(self) -> None:
        vpc = allow("ec2:CreateSubnet", ARN % ("ec2", "vpc/*"))
        assert lint_policies([allow("ec2:CreateSubnet", SUBNET), vpc]) == []

    def test_trust_policies(self) -> None:
        trusted = {
            "Effect": "Allow",
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Principal": {"Service": "pods.eks.amazonaws.com"},
            "Condition": {"ArnEquals": {"aws:SourceArn": CLUSTER}},
        }
        assert lint_trust({"Statement": [trusted]}) == []
        assert lint_trust({"Statement": [{**trusted, "Action": "sts:AssumeRoles"}]})

    @pytest.mark.parametrize(
        ("one", "other", "expected"),
        [
            ("vpc/*", "vpc/*", True),
            ("*/*", "vpc/*", True),
            ("vpc/*", "subnet/*", False),
            ("log-group:/aws/*/demo/*", "log-group:*", True),
            ("rule/demo-*", "rule/*/*", True),
            ("a?c", "abc", True),
            ("abc", "abcd", False),
            ("", "*", True),
        ],
    )
    def test_patterns_overlap(self, one: str, other: str, expected: bool) -> None:
        assert overlap(one, other) is expected
        assert overlap(other, one) is expected

    def test_actions_are_those_of_aws(self) -> None:
        action = find_action("eks:DescribeCluster")
        assert action.types["cluster"].required
        assert "aws:RequestedRegion" in GLOBAL_KEYS
        with pytest.raises(KeyError):
            find_action("eks:MakeCluster")


# -- the load balancer controller ------------------------------------------------------------------

BALANCER = ARN % ("elasticloadbalancing", "loadbalancer/app/theirs/50dc6c495c0c9188")
GROUP = ARN % ("ec2", "security-group/sg-0123456789abcdef0")
REQUEST, EXISTING = "aws:RequestTag/elbv2.k8s.aws/cluster", "aws:ResourceTag/elbv2.k8s.aws/cluster"
CREATED_BY = "elasticloadbalancing:CreateAction"


class TestLoadBalancerController:
    def decision(self, action: str, resource: str, **context: str) -> str:
        need = RequiredPermission(action, resource, {k: (v,) for k, v in context.items()})
        return evaluate([CONTROLLER], need).decision

    @pytest.mark.parametrize("tags", [{}, {EXISTING: "other"}], ids=["untagged", "of another"])
    def test_a_foreign_load_balancer_cannot_be_tagged_or_changed(
        self, tags: dict[str, str]
    ) -> None:
        add, remove = "elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags"
        assert self.decision(add, BALANCER, **tags, **{REQUEST: "demo"}) == "implicitDeny"
        assert self.decision(add, BALANCER, **tags, **{"aws:RequestTag/a": "b"}) == "implicitDeny"
        assert self.decision(remove, BALANCER, **tags) == "implicitDeny"
        for name in ("DeleteLoadBalancer", "SetSubnets", "ModifyLoadBalancerAttributes"):
            found = self.decision(f"elasticloadbalancing:{name}", BALANCER, **tags)
            assert found == "implicitDeny", name

    @pytest.mark.parametrize("tags", [{}, {EXISTING: "other"}], ids=["untagged", "of another"])
    def test_a_foreign_security_group_cannot_be_tagged(self, tags: dict[str, str]) -> None:
        assert self.decision("ec2:CreateTags", GROUP, **tags, **{REQUEST: "demo"}) == "implicitDeny"
        assert self.decision("ec2:DeleteSecurityGroup", GROUP, **tags) == "implicitDeny"

    def test_its_own_can_be_created_tagged_and_deleted(self) -> None:
        new = {REQUEST: "demo", CREATED_BY: "CreateLoadBalancer"}
        own = {EXISTING: "demo"}
        for action, context in (
            ("elasticloadbalancing:CreateLoadBalancer", {REQUEST: "demo"}),
            ("elasticloadbalancing:AddTags", new),
            ("elasticloadbalancing:AddTags", {**own, "aws:RequestTag/team": "a"}),
            ("elasticloadbalancing:RemoveTags", own),
            ("elasticloadbalancing:CreateListener", {}),
            ("elasticloadbalancing:DeleteLoadBalancer", own),
        ):
            assert self.decision(action, BALANCER, **context) == "allowed", action

    def test_the_cluster_s_tag_of_its_own_cannot_be_changed(self) -> None:
        found = self.decision(
            "elasticloadbalancing:AddTags", BALANCER, **{EXISTING: "demo", REQUEST: "other"}
        )
        assert found == "implicitDeny"
