"""The policy of a deployment: exact, no broader than documented, enough for rehearsals."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from jarkkit.catalog.addons import addon_catalog
from jarkkit.decisions.permissions import (
    AppliedPermissions,
    Statement,
    applied_permissions,
    deployment_statements,
    needed_statements,
)
from jarkkit.decisions.permissions.policy import (
    MANAGED_POLICY_MAX_LENGTH,
    policy_document,
    policy_length,
    split_policies,
)
from jarkkit.decisions.permissions.simulation import (
    SimulationRequest,
    SimulationResult,
    caller_kind,
    missing_permissions,
    simulation_requests,
    steps_that_need,
)
from jarkkit.decisions.permissions.statements import statement_templates
from jarkkit.model.errors import JarkkitError
from jarkkit.model.unknown import Unknown
from jarkkit.sandbox.account.iam.action_reference import action_reference
from jarkkit.sandbox.account.iam.policies import RequiredPermission, Verdict, evaluate, validate
from jarkkit.settings import Settings
from jarkkit.steps.preflight.permissions import (
    judge_organization,
    judge_permissions,
    judge_service_roles,
)
from tests.support.stacks import resolved
from tools.reference_pages import policies, refresh_page

DOCS = Path(__file__).parents[2] / "docs"
TERRAFORM = Path(__file__).parents[2] / "terraform"
BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"
ACCOUNT = "123456789012"
# Characters that all inline policies of a role may have together:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
INLINE_POLICY_MAX_LENGTH = 10_240
RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "recorded_needs.json").read_text())

# Broad statements: their resources are limited neither by name nor by the deployment's tag.
EXCEPTIONS = (
    "IdentifyCaller", "ReadRegions", "ReadQuotasAndPrices", "ReadNetwork", "FindLeftovers",
    "ReadKeysAndFileSystems", "ReadVpcAttributes", "DisassociateAddress", "ManageMountTargets",
    "LaunchNodes", "ConfigureNewKey", "GrantKey",
)  # fmt: skip
# Limited by the tag in the request alone: a resource of others could get the tag.
TAGGED_ONLY = (
    "CreateNetwork", "TagNewNetwork", "TagDefaultSecurityGroup", "AllowNfs", "CreateCluster",
    "CreateKeyAndFileSystem", "TagNewKeyAndFileSystem",
)  # fmt: skip
OWN_TAG = {"aws:ResourceTag/jarkkit:deployment"}
# Tags of the cluster's controllers; each names the deployment.
CONTROLLER_TAGS = {
    "aws:ResourceTag/kubernetes.io/cluster/demo",
    "aws:ResourceTag/elbv2.k8s.aws/cluster",
    "aws:ResourceTag/cluster.k8s.amazonaws.com/name",
    "aws:ResourceTag/eks:cluster-name",
}
GIVEN_TAG = {"aws:RequestTag/jarkkit:deployment"}


@cache
def everything() -> Settings:
    return Settings(
        artifact_bucket=True,
        managed_prometheus=True,
        budget_usd_per_month=1,
        budget_emails=("a@example.org",),
        state_bucket="states",
        huggingface_token="arn:aws:secretsmanager:us-west-2:123456789012:secret:token-AbCdEf",
        addons={name: True for name in addon_catalog() if name != "gpu-operator"},
    )


def statement(sid: str) -> Statement:
    return next(s for s in needed_statements(resolved(everything()), ACCOUNT) if s.sid == sid)


def keys_of(statement: Statement) -> set[str]:
    return {key for pairs in statement.conditions.values() for key in pairs}


class TestWhatItAllows:
    @pytest.mark.parametrize("name", RECORDED)
    def test_every_permission_of_a_recorded_rehearsal(self, name: str) -> None:
        policy = policy_document(
            needed_statements(resolved(Settings.from_values(RECORDED[name]["settings"])), ACCOUNT)
        )
        rejected = [n for n in needs(name) if evaluate([policy], n).decision != "allowed"]
        assert len(needs(name)) > 100
        assert rejected == []

    @pytest.mark.parametrize("name", RECORDED)
    def test_no_permission_on_another_deployment(self, name: str) -> None:
        settings = Settings.from_values({**RECORDED[name]["settings"], "name": "other"})
        changing = [
            s
            for s in needed_statements(resolved(settings), ACCOUNT)
            if not s.read_only and s.sid not in EXCEPTIONS
        ]
        policy = policy_document(changing)
        ours = [n for n in needs(name) if evaluate([policy], n).decision == "allowed"]
        shared = {"iam:CreateServiceLinkedRole", "s3:ListBucket"}
        existing_vpc = {"ec2:CreateSecurityGroup"} if settings.vpc_id else set()
        assert {need.action for need in ours} <= shared | existing_vpc

    def test_every_action_was_recorded_or_is_listed_as_unrehearsed(self) -> None:
        recorded = {need.action for name in RECORDED for need in needs(name)}
        for each in statement_templates():
            assert set(each.actions) - recorded <= set(each.unrehearsed), each.sid
            assert not set(each.unrehearsed) & recorded - _ALSO_ELSEWHERE, each.sid

    @pytest.mark.parametrize(
        "sid", [s.sid for s in statement_templates() if set(s.actions) - set(s.unrehearsed)]
    )
    def test_every_statement_is_needed(self, sid: str) -> None:
        for name in RECORDED:
            settings = Settings.from_values(RECORDED[name]["settings"])
            others = policy_document(
                [s for s in needed_statements(resolved(settings), ACCOUNT) if s.sid != sid]
            )
            if any(evaluate([others], need).decision != "allowed" for need in needs(name)):
                return
        pytest.fail(f"nothing that was recorded needs {sid}")


# Recorded for one statement and not for another: the buckets of the state and of artifacts; what
# Terraform deletes, and what cleanup deletes without it.
_ALSO_ELSEWHERE = {
    "ec2:DeleteLaunchTemplate",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteSecurityGroup",
    "ec2:RevokeSecurityGroupEgress",
    "ec2:RevokeSecurityGroupIngress",
    "iam:DeleteInstanceProfile",
    "iam:GetInstanceProfile",
    "iam:RemoveRoleFromInstanceProfile",
    "s3:DeleteObject",
}


@cache
def needs(name: str) -> tuple[RequiredPermission, ...]:
    return tuple(
        RequiredPermission(
            action, resource, {key: tuple(values) for key, values in context.items()}
        )
        for action, resource, context in RECORDED[name]["needs"]
    )


class TestHowNarrowItIs:
    def test_actions_have_no_wildcards_and_exist(self) -> None:
        for each in statement_templates():
            assert not [action for action in each.actions if action not in action_reference()]
            assert len(set(each.actions)) == len(each.actions)

    def test_every_placeholder_is_filled_in(self) -> None:
        for settings in (everything(), Settings(), everything().with_changes(EXISTING_VPC)):
            text = json.dumps(policy_document(needed_statements(resolved(settings), ACCOUNT)))
            assert "{name}" not in text
            assert "{partition}" not in text
            assert '""' not in text
            validate(json.loads(text))

    @pytest.mark.parametrize(
        "each", needed_statements(resolved(everything()), ACCOUNT), ids=lambda s: s.sid
    )
    def test_only_documented_exceptions_are_broad(self, each: Statement) -> None:
        bound_by_tag = keys_of(each) >= OWN_TAG or bool(keys_of(each) & CONTROLLER_TAGS)
        bound_by_request = keys_of(each) >= GIVEN_TAG
        unnamed = [resource for resource in each.resources if not has_own_name(resource)]
        if each.sid in TAGGED_ONLY:
            assert bound_by_request
        elif each.sid in EXCEPTIONS:
            assert unnamed
            assert not bound_by_tag
            assert each.why_not_narrower
        else:
            assert bound_by_tag or not unnamed

    def test_few_exceptions_change_resources(self) -> None:
        changing = {s.sid for s in statement_templates() if s.sid in EXCEPTIONS and not s.read_only}
        assert changing == {
            "DisassociateAddress",
            "ManageMountTargets",
            "LaunchNodes",
            "ConfigureNewKey",
            "GrantKey",
        }

    @pytest.mark.parametrize(
        "each", needed_statements(resolved(everything()), ACCOUNT), ids=lambda s: s.sid
    )
    def test_all_resources_only_for_actions_without_resource_types(self, each: Statement) -> None:
        if each.resources == ("*",):
            assert all("*" in action_reference()[action] for action in each.actions)
        else:
            assert not [action for action in each.actions if "*" in action_reference()[action]]

    @pytest.mark.parametrize(
        "each", needed_statements(resolved(everything()), ACCOUNT), ids=lambda s: s.sid
    )
    def test_actions_support_their_condition_keys(self, each: Statement) -> None:
        of_controllers = ((({tag}), "R") for tag in CONTROLLER_TAGS)
        for keys, flag in ((GIVEN_TAG, "Q"), (OWN_TAG, "R"), *of_controllers):
            for action in each.actions if keys <= keys_of(each) else ():
                assert any(flag in known for known in action_reference()[action].values()), action

    @pytest.mark.parametrize(
        "each", needed_statements(resolved(everything()), ACCOUNT), ids=lambda s: s.sid
    )
    def test_read_only_statements_are_marked(self, each: Statement) -> None:
        verbs = ("Get", "List", "Describe", "View", "Simulate")
        reads = all(action.partition(":")[2].startswith(verbs) for action in each.actions)
        assert reads == each.read_only or each.sid == "FindState"

    def test_roles_pass_to_named_services_and_only_known_policies_attach(self) -> None:
        assert keys_of(statement("PassRoles")) == {"iam:PassedToService"}
        allowed = statement("AttachManagedPolicies").conditions["ArnEquals"]["iam:PolicyARN"]
        assert "arn:aws:iam::aws:policy/AdministratorAccess" not in allowed
        assert "arn:aws:iam::aws:policy/AmazonFSxFullAccess" in allowed
        plain = policy_document(needed_statements(resolved(Settings()), ACCOUNT))
        assert "FSxFullAccess" not in json.dumps(plain)

    def test_with_a_boundary_roles_are_created_only_within_it(self) -> None:
        bounded = Settings(permissions_boundary_arn=BOUNDARY)
        for settings, context, decision in (
            (Settings(), {}, "allowed"),
            (bounded, {}, "implicitDeny"),
            (bounded, {"iam:PermissionsBoundary": (f"{BOUNDARY}2",)}, "implicitDeny"),
            (bounded, {"iam:PermissionsBoundary": (BOUNDARY,)}, "allowed"),
        ):
            policy = policy_document(needed_statements(resolved(settings), ACCOUNT))
            for action in ("iam:CreateRole", "iam:PutRolePolicy"):
                role = f"arn:aws:iam::{ACCOUNT}:role/demo-us-west-2-node"
                need = RequiredPermission(action, role, context)
                assert evaluate([policy], need).decision == decision

    def test_preflight_simulates_new_roles_with_the_boundary(self) -> None:
        requests = simulation_requests(
            needed_statements(resolved(Settings(permissions_boundary_arn=BOUNDARY)), ACCOUNT)
        )
        (asked,) = [request for request in requests if "iam:CreateRole" in request.actions]
        assert dict(asked.context) == {"iam:PermissionsBoundary": BOUNDARY}

    def test_every_role_of_terraform_has_the_boundary(self) -> None:
        roles = [
            block
            for path in TERRAFORM.rglob("*.tf")
            for block in re.findall(
                r'resource "aws_iam_role" .*?\n}\n', path.read_text(), re.DOTALL
            )
        ]
        assert len(roles) == 4
        assert all(
            re.search(r"permissions_boundary += \w+\.permissions_boundary", r) for r in roles
        )

    def test_the_bucket_s_tags_are_allowed_for_every_version_of_the_provider(self) -> None:
        actions = set(statement("ManageBucket").actions)
        assert {"s3:GetBucketTagging", "s3:PutBucketTagging"} <= actions  # 5.x
        assert {"s3:ListTagsForResource", "s3:TagResource", "s3:UntagResource"} <= actions  # 6.x

    def test_the_statements_follow_the_settings(self) -> None:
        plain = {s.sid for s in needed_statements(resolved(Settings()))}
        existing_vpc = {
            s.sid for s in needed_statements(resolved(Settings().with_changes(EXISTING_VPC)))
        }
        assert {"TagDefaultSecurityGroup", "ManageQueueAndRules"} <= plain
        assert not plain & {"ManageBucket", "ManageState", "ManageBudget", "ReadSecrets"}
        assert "TagDefaultSecurityGroup" not in existing_vpc
        assert "UseExistingVpc" in existing_vpc

    def test_what_earlier_settings_created_can_be_removed(self) -> None:
        now = Settings(karpenter=False, accelerators=(), permissions_boundary_arn=BOUNDARY)
        before = everything()
        plain = needed_statements(resolved(now), ACCOUNT)
        assert deployment_statements(resolved(now), None, ACCOUNT) == plain
        same = applied_permissions(resolved(now), None)
        assert deployment_statements(resolved(now), same, ACCOUNT) == plain
        applied = applied_permissions(resolved(now), applied_permissions(resolved(before), None))
        found = deployment_statements(resolved(now), applied, ACCOUNT)
        assert found[: len(plain)] == plain
        added = found[len(plain) :]
        removing = {"ManageQueueAndRules", "ManageBucket", "EmptyBucket", "ManageBudget"}
        assert removing <= {s.sid.removesuffix("Before1") for s in added}
        # Without the boundary nothing can be created, and no Sid is there twice.
        assert not [s for s in added if "iam:CreateRole" in s.actions]
        assert len({s.sid for s in found}) == len(found)
        policies = split_policies(found).values()
        assert len(policies) <= 10
        assert all(policy_length(part) <= MANAGED_POLICY_MAX_LENGTH for part in policies)

    def test_earlier_statements_keep_their_names_and_get_the_account(self) -> None:
        applied = None
        for secret in ("a", "b"):
            arn = f"arn:aws:secretsmanager:us-west-2:{ACCOUNT}:secret:{secret}-AbCdEf"
            before = Settings(artifact_bucket=True, huggingface_token=arn, state_bucket=secret * 3)
            applied = applied_permissions(resolved(before), applied)
        assert applied is not None
        assert ACCOUNT not in applied.model_dump_json().replace(f":{ACCOUNT}:secret", "")
        found = deployment_statements(resolved(Settings()), applied, ACCOUNT)
        assert len({s.sid for s in found}) == len(found)
        text = json.dumps(policy_document(found))
        assert f"demo-artifacts-{ACCOUNT}-us-west-2" in text
        assert "{" not in "".join(r for s in found for r in s.resources)
        assert {"aaa", "bbb"} <= set(re.findall("a{3}|b{3}", text))

    def test_an_earlier_release_s_record_of_permissions(self) -> None:
        # As saved by one whose statements had more parts, for an add-on that no longer exists.
        saved = {
            "sid": "ManageGone",
            "new_in_then": True,
            "read_only": False,
            "actions": ["gone:DeleteVolume"],
            "resources": ["arn:aws:gone:us-west-2:{account}:volume/demo"],
            "conditions": {"StringEquals": {"aws:ResourceTag/a": ["b"]}},
        }
        applied = AppliedPermissions.model_validate_json(json.dumps({"statements": [saved]}))
        found = deployment_statements(resolved(Settings()), applied, ACCOUNT)
        assert found[-1].to_policy_statement() == {
            "Sid": "ManageGoneBefore1",
            "Effect": "Allow",
            "Action": "gone:DeleteVolume",
            "Resource": f"arn:aws:gone:us-west-2:{ACCOUNT}:volume/demo",
            "Condition": {"StringEquals": {"aws:ResourceTag/a": "b"}},
        }
        assert "cleanup" in found[-1].steps

    def test_arns_have_the_partition_of_the_region(self) -> None:
        for region, partition in (("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")):
            text = json.dumps(policy_document(needed_statements(resolved(Settings(region=region)))))
            assert f"arn:{partition}:" in text
            assert "arn:aws:" not in text


EXISTING_VPC = {
    "vpc_id": "vpc-0123456789abcdef0",
    "private_subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
}


def has_own_name(resource: str) -> bool:
    """Return whether the ARN has a name of the deployment, or of a service."""
    words = ("demo", "states", "aws-service-role/", "parameter/aws/service/eks/", ":secret:token-")
    return any(word in resource for word in words) or ":servicequotas:" in resource


class TestPolicies:
    def test_each_policy_fits_and_together_they_are_complete(self) -> None:
        statements = needed_statements(resolved(everything()), ACCOUNT)
        found = split_policies(statements)
        assert all(policy_length(part) <= MANAGED_POLICY_MAX_LENGTH for part in found.values())
        assert [s for part in found.values() for s in part["Statement"]] == [
            *policy_document([s for s in statements if s.read_only])["Statement"],
            *policy_document([s for s in statements if not s.read_only])["Statement"],
        ]
        assert next(iter(found)) == "read-only"
        assert len(found) <= 5

    def test_the_read_only_policy_fits_into_a_role(self) -> None:
        assert (
            policy_length(
                policy_document([s for s in needed_statements(resolved(Settings())) if s.read_only])
            )
            <= INLINE_POLICY_MAX_LENGTH
        )

    def test_the_published_policies_are_up_to_date(self) -> None:
        for name, text in policies().items():
            assert (DOCS / name).read_text() == text, f"{name}: make docs"
        files = {f"iam-policy/{path.name}" for path in (DOCS / "iam-policy").iterdir()}
        assert files == set(policies()) - {"iam-policy.json"}

    def test_the_page_is_up_to_date(self) -> None:
        page = (DOCS / "permissions.md").read_text()
        assert refresh_page("permissions.md", page) == page
        with pytest.raises(ValueError, match="markers"):
            refresh_page("permissions.md", "# Permissions\n")


# -- the evaluation itself -------------------------------------------------------------------------


def allow(**more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "*", "Resource": "*", **more}


def decision_of(need: RequiredPermission, *statements: dict[str, Any]) -> str:
    return evaluate([{"Statement": list(statements)}], need).decision


VPC = RequiredPermission(
    "ec2:CreateVpc", "arn:aws:ec2:eu-west-1:1:vpc/*", {"aws:RequestTag/a": ("x",)}
)


class TestEvaluation:
    @pytest.mark.parametrize(
        ("given", "decision"),
        [
            (allow(), "allowed"),
            (allow(Action="ec2:create*"), "allowed"),
            (allow(Action=["s3:*", "ec2:CreateVp?"]), "allowed"),
            (allow(Action="ec2:CreateVpcPeering"), "implicitDeny"),
            (allow(Resource="arn:aws:ec2:*:*:vpc/*"), "allowed"),
            (allow(Resource="arn:aws:ec2:*:*:subnet/*"), "implicitDeny"),
            (allow(Effect="Deny"), "explicitDeny"),
        ],
    )
    def test_actions_and_resources(self, given: dict[str, Any], decision: str) -> None:
        assert decision_of(VPC, given) == decision

    def test_not_action_and_not_resource(self) -> None:
        without = {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}
        assert decision_of(VPC, without) == "allowed"
        assert decision_of(RequiredPermission("iam:PassRole"), without) == "implicitDeny"
        elsewhere = {"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:ec2:*"}
        assert decision_of(VPC, elsewhere) == "implicitDeny"

    def test_a_deny_overrides_every_allow(self) -> None:
        deny = {"Sid": "No", "Effect": "Deny", "Action": "ec2:*", "Resource": "*"}
        assert evaluate([{"Statement": [allow()]}, {"Statement": deny}], VPC) == Verdict(
            "explicitDeny", ("No",)
        )

    @pytest.mark.parametrize(
        ("operator", "key", "value", "met"),
        [
            ("StringEquals", "aws:RequestTag/a", "x", True),
            ("StringEquals", "aws:requesttag/A", ["y", "x"], True),
            ("StringEquals", "aws:RequestTag/a", "X", False),
            ("StringEqualsIgnoreCase", "aws:RequestTag/a", "X", True),
            ("StringNotEquals", "aws:RequestTag/a", "x", False),
            ("StringNotEquals", "aws:RequestTag/b", "x", True),
            ("StringLike", "aws:RequestTag/a", "*", True),
            ("StringEquals", "aws:RequestTag/b", "x", False),
            ("StringEqualsIfExists", "aws:RequestTag/b", "x", True),
            ("Null", "aws:RequestTag/b", "true", True),
            ("Null", "aws:RequestTag/a", "true", False),
            ("ForAllValues:StringEquals", "aws:TagKeys", ["a", "b"], True),
            ("ForAllValues:StringEquals", "aws:TagKeys", ["a"], False),
            ("ForAnyValue:StringEquals", "aws:TagKeys", ["b"], True),
            ("ForAnyValue:StringNotEquals", "aws:none", ["b"], False),
            ("Bool", "kms:GrantIsForAWSResource", True, True),
            ("NumericLessThan", "s3:max-keys", "10", True),
            ("NumericGreaterThan", "aws:RequestTag/a", "1", False),
            ("ArnLike", "aws:SourceArn", "arn:aws:eks:*:*:cluster/*", True),
        ],
    )
    def test_conditions(self, operator: str, key: str, value: Any, met: bool) -> None:
        context = {
            "aws:RequestTag/a": ("x",),
            "aws:TagKeys": ("a", "b"),
            "kms:GrantIsForAWSResource": ("true",),
            "s3:max-keys": ("5",),
            "aws:SourceArn": ("arn:aws:eks:eu-west-1:1:cluster/demo",),
        }
        given = allow(Condition={operator: {key: value}})
        assert (decision_of(RequiredPermission("a:B", "*", context), given) == "allowed") == met

    def test_policy_variables(self) -> None:
        own = allow(Resource="arn:aws:iam::1:user/${aws:username}")
        who = {"aws:username": ("ann",)}
        assert (
            decision_of(RequiredPermission("iam:GetUser", "arn:aws:iam::1:user/ann", who), own)
            == "allowed"
        )
        assert (
            decision_of(RequiredPermission("iam:GetUser", "arn:aws:iam::1:user/bob", who), own)
            == "implicitDeny"
        )
        assert (
            decision_of(RequiredPermission("iam:GetUser", "arn:aws:iam::1:user/", {}), own)
            == "implicitDeny"
        )

    @pytest.mark.parametrize(
        ("invalid", "why"),
        [
            ([], "no Statement"),
            ({"Statement": {"Action": "*", "Resource": "*"}}, "no Effect"),
            ({"Statement": {"Effect": "Allow", "Resource": "*"}}, "no Action"),
            ({"Statement": {"Effect": "Allow", "Action": "*"}}, "no Resource"),
            ({"Statement": allow(Condition={"DateLess": {}})}, "DateLess"),
        ],
    )
    def test_an_invalid_policy_is_rejected(self, invalid: Any, why: str) -> None:
        with pytest.raises(ValueError, match=why):
            validate(invalid)


# -- what preflight checks ----------------------------------------------------------------------


STATEMENTS = needed_statements(resolved(everything()), ACCOUNT)
REQUESTS = simulation_requests(STATEMENTS)


def results_except(
    *rejected: SimulationResult, organization: bool | None = None
) -> dict[SimulationRequest, list[SimulationResult] | Unknown]:
    """Return results that allow everything except the given ones."""
    by_action = {decision.action: decision for decision in rejected}
    return {
        request: [
            by_action.get(action) or SimulationResult(action, resource, "allowed", organization)
            for action in request.actions
            for resource in request.resources
        ]
        for request in REQUESTS
    }


def denied(action: str, decision: str = "implicitDeny", **more: Any) -> SimulationResult:
    return SimulationResult(action, "*", decision, **more)


class TestSimulationRequests:
    def test_every_action_of_a_step_is_simulated(self) -> None:
        expected = {action for s in STATEMENTS if s.steps for action in s.actions}
        assert {action for request in REQUESTS for action in request.actions} == expected

    def test_requests_have_the_context_of_the_deployment(self) -> None:
        context = {key: value for request in REQUESTS for key, value in request.context}
        assert context["aws:RequestTag/jarkkit:deployment"] == "demo"
        assert context["iam:PassedToService"] == "ec2.amazonaws.com"
        assert all(":*/*" not in r for request in REQUESTS for r in request.resources)

    def test_the_policy_allows_every_simulated_action(self) -> None:
        policy = policy_document(STATEMENTS)
        for request in REQUESTS:
            context = {key: (value,) for key, value in request.context}
            for action in request.actions:
                permissions = [
                    RequiredPermission(action, resource, context) for resource in request.resources
                ]
                assert any(
                    evaluate([policy], need).decision == "allowed" for need in permissions
                ), action

    def test_no_action_is_simulated_with_the_tags_of_other_calls(self) -> None:
        for request in REQUESTS:
            context = dict(request.context)
            if "kms:DescribeKey" in request.actions:
                assert context == {}
            if "kms:ScheduleKeyDeletion" in request.actions:
                assert context == {"aws:ResourceTag/jarkkit:deployment": "demo"}

    def test_one_allowed_resource_is_enough(self) -> None:
        some = [
            SimulationResult("a:B", "x", "implicitDeny"),
            SimulationResult("a:B", "y", "allowed"),
        ]
        assert missing_permissions(STATEMENTS, [some]) == ()

    def test_steps_are_in_order(self) -> None:
        assert steps_that_need("ec2:DescribeVpcs", STATEMENTS) == (
            "preflight", "plan", "deploy", "verify", "cleanup",
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("arn", "kind"),
        [
            ("arn:aws:iam::1:user/team/ann", ("user", "team/ann")),
            ("arn:aws:sts::1:assumed-role/Admin/ann@example.org", ("role", "Admin")),
            ("arn:aws:iam::1:root", ("root", "")),
            ("arn:aws:sts::1:federated-user/ann", ("other", "ann")),
        ],
    )
    def test_kinds_of_callers(self, arn: str, kind: tuple[str, str]) -> None:
        assert caller_kind(arn) == kind


class TestChecks:
    def check(self, answers: Any, *, session: bool = False) -> Any:
        return judge_permissions("demo", STATEMENTS, answers, session=session)

    def test_everything_is_allowed(self) -> None:
        check = self.check(results_except())
        assert (check.status, check.why) == ("pass", "")
        assert "session policy" in self.check(results_except(), session=True).why

    def test_a_missing_action_is_listed_under_its_first_step(self) -> None:
        check = self.check(
            results_except(denied("eks:CreateCluster"), denied("ec2:DescribeRegions"))
        )
        assert (check.status, check.code) == ("fail", "JK-PERMISSION-MISSING")
        assert "preflight: ec2:DescribeRegions; deploy: eks:CreateCluster" in check.found
        assert "jarkkit permissions demo" in check.fix

    def test_an_action_that_only_preflight_uses_is_a_warning(self) -> None:
        assert self.check(results_except(denied("pricing:GetProducts"))).status == "warn"

    def test_denies_and_boundaries_are_named(self) -> None:
        explicit = self.check(results_except(denied("eks:CreateCluster", "explicitDeny")))
        assert "explicitly" in explicit.why
        bounded = self.check(results_except(denied("eks:CreateCluster", by_boundary=False)))
        assert "boundary" in bounded.why

    def test_a_denied_role_names_the_setting_for_a_boundary(self) -> None:
        explicit = self.check(results_except(denied("iam:CreateRole", "explicitDeny")))
        assert "permissions_boundary_arn" in explicit.fix
        plain = self.check(results_except(denied("iam:CreateRole")))
        assert "permissions_boundary_arn" not in plain.fix

    def test_a_failed_simulation_names_its_actions(self) -> None:
        answers = results_except()
        error = JarkkitError("JK-AWS-THROTTLED", "too many calls", "wait")
        answers[REQUESTS[0]] = Unknown(error)
        check = self.check(answers)
        assert (check.status, check.code) == ("unknown", "JK-AWS-THROTTLED")
        assert "iam:GetRole" in check.found

    def test_a_missing_permission_outranks_unknown_ones(self) -> None:
        answers = results_except(denied("eks:CreateCluster"))
        answers[REQUESTS[0]] = Unknown(JarkkitError("JK-AWS-DENIED", "no", "ask"))
        assert self.check(answers).status == "fail"

    def test_the_organization(self) -> None:
        assert judge_organization(results_except()).status == "unknown"
        assert judge_organization(results_except(organization=True)).status == "pass"
        rejected = results_except(denied("eks:CreateCluster", by_organization=False))
        check = judge_organization(rejected)
        assert (check.status, check.code) == ("fail", "JK-PERMISSION-MISSING")
        assert "eks:CreateCluster" in check.found
        assert self.check(rejected).status == "pass"

    @pytest.mark.parametrize(
        ("found", "creatable", "status"),
        [
            ({"eks": True}, {}, "pass"),
            ({"eks": True, "spot": False}, {"spot": True}, "pass"),
            ({"eks": False}, {"eks": False}, "fail"),
            ({"eks": False}, {"eks": None}, "unknown"),
            ({"eks": Unknown(JarkkitError("JK-AWS-DENIED", "no", "ask"))}, {}, "unknown"),
        ],
    )
    def test_service_linked_roles(
        self, found: dict[str, Any], creatable: dict[str, bool | None], status: str
    ) -> None:
        check = judge_service_roles(found, creatable)
        assert check.status == status
        if status == "fail":
            assert "aws iam create-service-linked-role --aws-service-name eks" in check.fix


def test_sids_are_alphanumeric_and_unique() -> None:
    sids: Iterable[str] = [s.sid for s in statement_templates()]
    assert all(sid.isalnum() for sid in sids)
    assert len(set(sids)) == len(list(sids))
