"""The policy of a deployment: exact, no broader than it says, enough for recorded rehearsals."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from jarkkit.addons.catalogue import catalogue
from jarkkit.docs import policies, renewed
from jarkkit.errors import JarkkitError
from jarkkit.permissions import Statement, needed
from jarkkit.permissions.policy import MANAGED_POLICY, document, length, parts
from jarkkit.permissions.questions import (
    Decision,
    Question,
    kind_of,
    missing,
    questions,
    steps_of,
)
from jarkkit.permissions.statements import SERVICE_LINKED, templates
from jarkkit.sandbox.account.iam import service_linked
from jarkkit.sandbox.account.iam.needs import reference
from jarkkit.sandbox.account.iam.policies import Need, Verdict, check, decide
from jarkkit.settings import Settings
from jarkkit.steps.preflight.permissions import (
    judge_organization,
    judge_permissions,
    judge_service_roles,
)

DOCS = Path(__file__).parents[2] / "docs"
ACCOUNT = "123456789012"
# Characters that all inline policies of a role may have together:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
INLINE_OF_A_ROLE = 10_240
RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "recorded_needs.json").read_text())

# What may be broad: statements whose things are bound neither by name nor by the deployment's tag.
EXCEPTIONS = (
    "WhoAmI", "LookAtRegions", "LookAtQuotasAndPrices", "LookAtNetwork", "LookForLeftovers",
    "LookAtKeysAndFiles", "LookAtVpcs", "LetGoOfAddress", "MountTargets", "LaunchNodes",
    "UseNewKey", "LendKey",
)  # fmt: skip
# Bound by the tag in the request alone: a thing of others could be given it.
TAGGED_ONLY = (
    "MakeNetwork", "TagNewNetwork", "TagDefaultSecurityGroup", "NfsRule", "MakeCluster",
    "MakeKeyAndFileSystem", "TagNewKeyAndFileSystem",
)  # fmt: skip
OWN_TAG = {"aws:ResourceTag/jarkkit:deployment"}
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
        addons={name: True for name in catalogue() if name != "gpu-operator"},
    )


def statement(sid: str) -> Statement:
    return next(s for s in needed(everything(), ACCOUNT) if s.sid == sid)


def keys_of(statement: Statement) -> set[str]:
    return {key for pairs in statement.conditions.values() for key in pairs}


class TestWhatItAllows:
    @pytest.mark.parametrize("name", RECORDED)
    def test_everything_that_a_recorded_rehearsal_needed(self, name: str) -> None:
        policy = document(needed(Settings.make(RECORDED[name]["settings"]), ACCOUNT))
        refused = [n for n in needs(name) if decide([policy], n).decision != "allowed"]
        assert len(needs(name)) > 100
        assert refused == []

    @pytest.mark.parametrize("name", RECORDED)
    def test_nothing_of_a_deployment_of_another_name(self, name: str) -> None:
        settings = Settings.make({**RECORDED[name]["settings"], "name": "other"})
        changing = [s for s in needed(settings, ACCOUNT) if not s.look and s.sid not in EXCEPTIONS]
        policy = document(changing)
        ours = [n for n in needs(name) if decide([policy], n).decision == "allowed"]
        shared = {"iam:CreateServiceLinkedRole", "s3:ListBucket"}
        brought = {"ec2:CreateSecurityGroup"} if settings.vpc_id else set()
        assert {need.action for need in ours} <= shared | brought

    def test_every_action_was_recorded_or_says_who_makes_it(self) -> None:
        recorded = {need.action for name in RECORDED for need in needs(name)}
        for each in templates():
            assert set(each.actions) - recorded <= set(each.unseen), each.sid
            assert not set(each.unseen) & recorded - _ALSO_ELSEWHERE, each.sid

    @pytest.mark.parametrize("sid", [s.sid for s in templates() if set(s.actions) - set(s.unseen)])
    def test_no_statement_is_superfluous(self, sid: str) -> None:
        for name in RECORDED:
            settings = Settings.make(RECORDED[name]["settings"])
            others = document([s for s in needed(settings, ACCOUNT) if s.sid != sid])
            if any(decide([others], need).decision != "allowed" for need in needs(name)):
                return
        pytest.fail(f"nothing that was recorded needs {sid}")


# In one statement recorded, in another not: the bucket of the state and that of artifacts.
_ALSO_ELSEWHERE = {"s3:DeleteObject"}


@cache
def needs(name: str) -> tuple[Need, ...]:
    return tuple(
        Need(action, resource, {key: tuple(values) for key, values in context.items()})
        for action, resource, context in RECORDED[name]["needs"]
    )


class TestHowNarrowItIs:
    def test_actions_are_named_exactly_and_exist(self) -> None:
        for each in templates():
            assert not [action for action in each.actions if action not in reference()]
            assert len(set(each.actions)) == len(each.actions)

    def test_every_word_is_filled_in(self) -> None:
        for settings in (everything(), Settings(), everything().changed(BROUGHT)):
            text = json.dumps(document(needed(settings, ACCOUNT)))
            assert "{name}" not in text
            assert "{partition}" not in text
            assert '""' not in text
            check(json.loads(text))

    @pytest.mark.parametrize("each", needed(everything(), ACCOUNT), ids=lambda s: s.sid)
    def test_nothing_is_broader_than_the_documented_exceptions(self, each: Statement) -> None:
        bound_by_tag = keys_of(each) >= OWN_TAG
        bound_by_request = keys_of(each) >= GIVEN_TAG
        loose = [resource for resource in each.resources if not names_ours(resource)]
        if each.sid in TAGGED_ONLY:
            assert bound_by_request
        elif each.sid in EXCEPTIONS:
            assert loose
            assert not bound_by_tag
            assert each.unbound
        else:
            assert bound_by_tag or not loose

    def test_exceptions_that_change_something_are_few(self) -> None:
        changing = {s.sid for s in templates() if s.sid in EXCEPTIONS and not s.look}
        assert changing == {"LetGoOfAddress", "MountTargets", "LaunchNodes", "UseNewKey", "LendKey"}

    @pytest.mark.parametrize("each", needed(everything(), ACCOUNT), ids=lambda s: s.sid)
    def test_all_resources_at_once_only_for_actions_that_know_none(self, each: Statement) -> None:
        if each.resources == ("*",):
            assert all("*" in reference()[action] for action in each.actions)
        else:
            assert not [action for action in each.actions if "*" in reference()[action]]

    @pytest.mark.parametrize("each", needed(everything(), ACCOUNT), ids=lambda s: s.sid)
    def test_actions_know_the_condition_keys(self, each: Statement) -> None:
        for keys, flag in ((GIVEN_TAG, "Q"), (OWN_TAG, "R")):
            for action in each.actions if keys <= keys_of(each) else ():
                assert any(flag in known for known in reference()[action].values()), action

    @pytest.mark.parametrize("each", needed(everything(), ACCOUNT), ids=lambda s: s.sid)
    def test_what_only_looks_is_called_so(self, each: Statement) -> None:
        verbs = ("Get", "List", "Describe", "View", "Simulate")
        looks = all(action.partition(":")[2].startswith(verbs) for action in each.actions)
        assert looks == each.look or each.sid == "FindState"

    def test_roles_go_to_named_services_and_known_policies_to_roles(self) -> None:
        assert keys_of(statement("PassRoles")) == {"iam:PassedToService"}
        allowed = statement("AttachKnownPolicies").conditions["ArnEquals"]["iam:PolicyARN"]
        assert "arn:aws:iam::aws:policy/AdministratorAccess" not in allowed
        assert "arn:aws:iam::aws:policy/AmazonFSxFullAccess" in allowed
        plain = document(needed(Settings(), ACCOUNT))
        assert "FSxFullAccess" not in json.dumps(plain)

    def test_it_follows_the_settings(self) -> None:
        plain = {s.sid for s in needed(Settings())}
        brought = {s.sid for s in needed(Settings().changed(BROUGHT))}
        assert {"TagDefaultSecurityGroup", "ChangeQueueAndRules"} <= plain
        assert not plain & {"ChangeBucket", "KeepState", "ChangeBudget", "ReadSecrets"}
        assert "TagDefaultSecurityGroup" not in brought
        assert "JoinTheVpcThatWasBrought" in brought

    def test_partitions(self) -> None:
        for region, partition in (("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")):
            text = json.dumps(document(needed(Settings(region=region))))
            assert f"arn:{partition}:" in text
            assert "arn:aws:" not in text


BROUGHT = {
    "vpc_id": "vpc-0123456789abcdef0",
    "private_subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
}


def names_ours(resource: str) -> bool:
    """Whether a resource is bound by a name that the deployment chooses, or by a service's."""
    words = ("demo", "states", "aws-service-role/", "parameter/aws/service/eks/", ":secret:token-")
    return any(word in resource for word in words) or ":servicequotas:" in resource


class TestPolicies:
    def test_each_part_fits_and_together_they_are_the_whole(self) -> None:
        statements = needed(everything(), ACCOUNT)
        found = parts(statements)
        assert all(length(part) <= MANAGED_POLICY for part in found.values())
        assert [s for part in found.values() for s in part["Statement"]] == [
            *document([s for s in statements if s.look])["Statement"],
            *document([s for s in statements if not s.look])["Statement"],
        ]
        assert next(iter(found)) == "look"
        assert len(found) <= 5

    def test_what_only_looks_fits_into_a_role_as_it_is(self) -> None:
        assert length(document([s for s in needed(Settings()) if s.look])) <= INLINE_OF_A_ROLE

    def test_the_published_ones_are_up_to_date(self) -> None:
        for name, text in policies().items():
            assert (DOCS / name).read_text() == text, f"{name}: make docs"
        files = {f"iam-policy/{path.name}" for path in (DOCS / "iam-policy").iterdir()}
        assert files == set(policies()) - {"iam-policy.json"}

    def test_the_page_is_up_to_date(self) -> None:
        page = (DOCS / "permissions.md").read_text()
        assert renewed("permissions.md", page) == page
        with pytest.raises(ValueError, match="marks"):
            renewed("permissions.md", "# Permissions\n")

    def test_kit_and_sandbox_name_the_same_service_linked_roles(self) -> None:
        assert service_linked.NAMES == SERVICE_LINKED


# -- the evaluation itself -------------------------------------------------------------------------


def allow(**more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "*", "Resource": "*", **more}


def says(need: Need, *statements: dict[str, Any]) -> str:
    return decide([{"Statement": list(statements)}], need).decision


VPC = Need("ec2:CreateVpc", "arn:aws:ec2:eu-west-1:1:vpc/*", {"aws:RequestTag/a": ("x",)})


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
        assert says(VPC, given) == decision

    def test_opposites(self) -> None:
        without = {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}
        assert says(VPC, without) == "allowed"
        assert says(Need("iam:PassRole"), without) == "implicitDeny"
        elsewhere = {"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:ec2:*"}
        assert says(VPC, elsewhere) == "implicitDeny"

    def test_a_deny_counts_more_than_any_number_of_allows(self) -> None:
        deny = {"Sid": "No", "Effect": "Deny", "Action": "ec2:*", "Resource": "*"}
        assert decide([{"Statement": [allow()]}, {"Statement": deny}], VPC) == Verdict(
            "explicitDeny", ("No",)
        )

    @pytest.mark.parametrize(
        ("operator", "key", "value", "holds"),
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
    def test_conditions(self, operator: str, key: str, value: Any, holds: bool) -> None:
        context = {
            "aws:RequestTag/a": ("x",),
            "aws:TagKeys": ("a", "b"),
            "kms:GrantIsForAWSResource": ("true",),
            "s3:max-keys": ("5",),
            "aws:SourceArn": ("arn:aws:eks:eu-west-1:1:cluster/demo",),
        }
        given = allow(Condition={operator: {key: value}})
        assert (says(Need("a:B", "*", context), given) == "allowed") == holds

    def test_policy_variables(self) -> None:
        own = allow(Resource="arn:aws:iam::1:user/${aws:username}")
        who = {"aws:username": ("ann",)}
        assert says(Need("iam:GetUser", "arn:aws:iam::1:user/ann", who), own) == "allowed"
        assert says(Need("iam:GetUser", "arn:aws:iam::1:user/bob", who), own) == "implicitDeny"
        assert says(Need("iam:GetUser", "arn:aws:iam::1:user/", {}), own) == "implicitDeny"

    @pytest.mark.parametrize(
        ("wrong", "why"),
        [
            ([], "no Statement"),
            ({"Statement": {"Action": "*", "Resource": "*"}}, "no Effect"),
            ({"Statement": {"Effect": "Allow", "Resource": "*"}}, "no Action"),
            ({"Statement": {"Effect": "Allow", "Action": "*"}}, "no Resource"),
            ({"Statement": allow(Condition={"DateLess": {}})}, "DateLess"),
        ],
    )
    def test_what_is_no_policy_is_refused(self, wrong: Any, why: str) -> None:
        with pytest.raises(ValueError, match=why):
            check(wrong)


# -- what preflight asks and says ------------------------------------------------------------------


STATEMENTS = needed(everything(), ACCOUNT)
ASKED = questions(STATEMENTS)


def answered(
    *refused: Decision, organization: bool | None = None
) -> dict[Question, list[Decision] | JarkkitError]:
    """All is allowed but that."""
    by_action = {decision.action: decision for decision in refused}
    return {
        question: [
            by_action.get(action) or Decision(action, resource, "allowed", organization)
            for action in question.actions
            for resource in question.resources
        ]
        for question in ASKED
    }


def no(action: str, decision: str = "implicitDeny", **more: Any) -> Decision:
    return Decision(action, "*", decision, **more)


class TestQuestions:
    def test_every_action_that_a_step_needs_is_asked_about(self) -> None:
        wanted = {action for s in STATEMENTS if s.steps for action in s.actions}
        assert {action for question in ASKED for action in question.actions} == wanted

    def test_they_say_what_the_deployment_would_say(self) -> None:
        context = {key: value for question in ASKED for key, value in question.context}
        assert context["aws:RequestTag/jarkkit:deployment"] == "demo"
        assert context["iam:PassedToService"] == "ec2.amazonaws.com"
        assert all(":*/*" not in r for question in ASKED for r in question.resources)

    def test_the_policy_itself_allows_all_that_is_asked(self) -> None:
        policy = document(STATEMENTS)
        for question in ASKED:
            context = {key: (value,) for key, value in question.context}
            for action in question.actions:
                asked = [Need(action, resource, context) for resource in question.resources]
                assert any(decide([policy], need).decision == "allowed" for need in asked), action

    def test_one_resource_that_is_allowed_is_enough(self) -> None:
        some = [Decision("a:B", "x", "implicitDeny"), Decision("a:B", "y", "allowed")]
        assert missing(STATEMENTS, [some]) == ()

    def test_steps_come_in_their_order(self) -> None:
        assert steps_of("ec2:DescribeVpcs", STATEMENTS) == (
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
        assert kind_of(arn) == kind


class TestFindings:
    def judged(self, answers: Any, *, session: bool = False) -> Any:
        return judge_permissions("demo", STATEMENTS, answers, session=session)

    def test_all_is_allowed(self) -> None:
        check = self.judged(answered())
        assert (check.status, check.why) == ("pass", "")
        assert "session policy" in self.judged(answered(), session=True).why

    def test_what_is_missing_stands_under_the_first_step_that_needs_it(self) -> None:
        check = self.judged(answered(no("eks:CreateCluster"), no("ec2:DescribeRegions")))
        assert (check.status, check.code) == ("fail", "JK-PERMISSION-MISSING")
        assert "preflight: ec2:DescribeRegions; deploy: eks:CreateCluster" in check.found
        assert "jarkkit permissions demo" in check.fix

    def test_what_only_preflight_would_like_to_know_blocks_nothing(self) -> None:
        assert self.judged(answered(no("pricing:GetProducts"))).status == "warn"

    def test_why_more_policies_would_not_help(self) -> None:
        denied = self.judged(answered(no("eks:CreateCluster", "explicitDeny")))
        assert "explicitly" in denied.why
        bounded = self.judged(answered(no("eks:CreateCluster", by_boundary=False)))
        assert "boundary" in bounded.why

    def test_what_could_not_be_asked_is_named(self) -> None:
        answers = answered()
        error = JarkkitError("JK-AWS-THROTTLED", "too many calls", "wait")
        answers[ASKED[0]] = error
        check = self.judged(answers)
        assert (check.status, check.code) == ("unknown", "JK-AWS-THROTTLED")
        assert "iam:GetRole" in check.found

    def test_a_refusal_counts_more_than_what_is_unknown(self) -> None:
        answers = answered(no("eks:CreateCluster"))
        answers[ASKED[0]] = JarkkitError("JK-AWS-DENIED", "no", "ask")
        assert self.judged(answers).status == "fail"

    def test_the_organization(self) -> None:
        assert judge_organization(answered()).status == "unknown"
        assert judge_organization(answered(organization=True)).status == "pass"
        refused = answered(no("eks:CreateCluster", by_organization=False))
        check = judge_organization(refused)
        assert (check.status, check.code) == ("fail", "JK-PERMISSION-MISSING")
        assert "eks:CreateCluster" in check.found
        assert self.judged(refused).status == "pass"

    @pytest.mark.parametrize(
        ("found", "creatable", "status"),
        [
            ({"eks": True}, {}, "pass"),
            ({"eks": True, "spot": False}, {"spot": True}, "pass"),
            ({"eks": False}, {"eks": False}, "fail"),
            ({"eks": False}, {"eks": None}, "unknown"),
            ({"eks": JarkkitError("JK-AWS-DENIED", "no", "ask")}, {}, "unknown"),
        ],
    )
    def test_service_linked_roles(
        self, found: dict[str, Any], creatable: dict[str, bool | None], status: str
    ) -> None:
        check = judge_service_roles(found, creatable)
        assert check.status == status
        if status == "fail":
            assert "aws iam create-service-linked-role --aws-service-name eks" in check.fix


def test_sids_are_fit_for_policies() -> None:
    sids: Iterable[str] = [s.sid for s in templates()]
    assert all(sid.isalnum() for sid in sids)
    assert len(set(sids)) == len(list(sids))
