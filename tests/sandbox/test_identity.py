"""What an account says of its caller, and what a limited user may do in the sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jarkkit.aws import Account
from jarkkit.aws.session import client_error_code
from jarkkit.errors import JarkkitError
from jarkkit.permissions import needed
from jarkkit.permissions.questions import Decision, Question, questions
from jarkkit.permissions.statements import SERVICE_LINKED
from jarkkit.records import Caller
from jarkkit.sandbox import control
from jarkkit.settings import Settings
from tests.conftest import pointed_at
from tests.sandbox.test_account import make_client

REGION = "us-west-2"
ACCOUNT = "123456789012"
LEARNER = f"arn:aws:iam::{ACCOUNT}:user/learner"
Allow = Callable[..., None]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.Running]:
    """A pretend account of our own, whose user may do less and less."""
    running = control.start(tmp_path_factory.mktemp("limited"), account_only=True)
    yield running
    control.stop(running.home)


@pytest.fixture
def allow(sandbox: control.Running, tmp_path: Path) -> Iterator[Allow]:
    """Let the user do this and nothing else, until the end of the test."""

    def to(*actions: str, resource: str = "*", **more: Any) -> None:
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}
        policy = tmp_path / "some.json"
        policy.write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
        control.set_policies(sandbox.home, [policy])

    yield to
    control.set_policies(sandbox.home, [])


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """Code and message of a refusal."""
    with pytest.raises(ClientError) as caught:
        call()
    return client_error_code(caught.value), str(caught.value)


def simulated(account: Account, *asked: Question) -> list[Sequence[Decision]]:
    """The simulator's answers, all of which there must be."""
    answers = account.identity.simulate(LEARNER, asked)
    assert list(answers) == list(asked)
    return [found for found in answers.values() if not isinstance(found, JarkkitError)]


class TestSimulation:
    def test_the_one_who_rehearses_may_do_everything(self, account: Account) -> None:
        answers = simulated(account, *questions(needed(Settings(), ACCOUNT)))
        assert len(answers) > 10
        assert all(decision.allowed for found in answers for decision in found)

    def test_actions_resources_and_conditions_count(self, account: Account, allow: Allow) -> None:
        allow(
            "ec2:CreateVpc",
            "iam:SimulatePrincipalPolicy",
            Condition={"StringEqualsIfExists": {"aws:RequestTag/team": "a"}},
        )
        asked = [
            Question(("ec2:CreateVpc", "ec2:DeleteVpc"), ("*",), (("aws:RequestTag/team", team),))
            for team in "ab"
        ]
        ours, theirs = simulated(account, *asked)
        assert [d.decision for d in ours] == ["allowed", "implicitDeny"]
        assert [d.decision for d in theirs] == ["implicitDeny"] * 2
        assert [d.by_organization for d in ours] == [None, None]

    def test_more_actions_than_one_call_takes(self, account: Account) -> None:
        many = tuple(f"ec2:DescribeThing{number}" for number in range(230))
        (found,) = simulated(account, Question(many, ("*",), ()))
        assert [d.action for d in found] == list(many)

    def test_what_may_not_be_asked_is_an_error_of_that_question(
        self, account: Account, allow: Allow
    ) -> None:
        allow("ec2:DescribeVpcs")
        question = Question(("ec2:DescribeVpcs",), ("*",), ())
        answer = account.identity.simulate(LEARNER, [question])[question]
        assert isinstance(answer, JarkkitError)
        assert answer.code == "JK-AWS-DENIED"

    def test_a_no_is_not_remembered(self, account: Account, allow: Allow) -> None:
        question = Question(("eks:ListClusters",), ("*",), ())
        allow("iam:SimulatePrincipalPolicy")
        (before,) = simulated(account, question)
        allow("iam:SimulatePrincipalPolicy", "eks:ListClusters")
        (after,) = simulated(account, question)
        assert [d.allowed for d in (*before, *after)] == [False, True]

    def test_a_custom_policy(self, client: Callable[[str], Any]) -> None:
        policy = {"Statement": {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}}
        found = client("iam").simulate_custom_policy(
            PolicyInputList=[json.dumps(policy)], ActionNames=["s3:GetObject", "ec2:RunInstances"]
        )["EvaluationResults"]
        assert [result["EvalDecision"] for result in found] == ["explicitDeny", "implicitDeny"]

    def test_groups_and_roles_have_policies_too(self, client: Callable[[str], Any]) -> None:
        iam = client("iam")
        policy = {"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}
        iam.create_group(GroupName="readers")
        iam.put_group_policy(
            GroupName="readers", PolicyName="p", PolicyDocument=json.dumps(policy | _VERSION)
        )
        iam.create_user(UserName="ann")
        iam.add_user_to_group(GroupName="readers", UserName="ann")
        found = iam.simulate_principal_policy(
            PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:user/ann", ActionNames=["s3:GetObject"]
        )["EvaluationResults"]
        assert found[0]["EvalDecision"] == "allowed"
        assert found[0]["MatchedStatements"][0]["SourcePolicyId"] == "p"

    def test_somebody_who_is_not_there(self, client: Callable[[str], Any]) -> None:
        nobody = f"arn:aws:iam::{ACCOUNT}:user/nobody"
        code, _ = refused(
            lambda: client("iam").simulate_principal_policy(
                PolicySourceArn=nobody, ActionNames=["s3:GetObject"]
            )
        )
        assert code == "NoSuchEntity"


_VERSION = {"Version": "2012-10-17"}


class TestCallers:
    def test_a_session_stands_for_its_role_with_its_path(
        self, account: Account, client: Callable[[str], Any]
    ) -> None:
        trust = {"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "*"}}
        client("iam").create_role(
            RoleName="Admin", Path="/team/", AssumeRolePolicyDocument=json.dumps(trust | _VERSION)
        )
        arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/Admin/ann"
        role = account.identity.principal(Caller(account_id=ACCOUNT, arn=arn))
        assert role == f"arn:aws:iam::{ACCOUNT}:role/team/Admin"

    @pytest.mark.parametrize(
        "rest", ["iam::123456789012:root", "sts::123456789012:federated-user/a"]
    )
    def test_whom_the_simulator_does_not_know(self, account: Account, rest: str) -> None:
        caller = Caller(account_id=ACCOUNT, arn=f"arn:aws:{rest}")
        assert account.identity.principal(caller) == ""

    def test_a_role_that_may_not_be_looked_up(self, account: Account, allow: Allow) -> None:
        allow("ec2:DescribeVpcs")
        arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/Admin/ann"
        with pytest.raises(JarkkitError) as caught:
            account.identity.principal(Caller(account_id=ACCOUNT, arn=arn))
        assert caught.value.code == "JK-AWS-DENIED"


class TestServiceLinkedRoles:
    def test_a_prepared_account_has_them(self, account: Account) -> None:
        assert set(account.identity.service_linked_roles(SERVICE_LINKED).values()) == {True}

    def test_a_fresh_account_gets_them_at_first_use(self, tmp_path: Path) -> None:
        running = control.start(tmp_path, account_only=True, profile="fresh-account")
        account = Account(REGION, pointed_at(running))
        before = account.identity.service_linked_roles(SERVICE_LINKED)
        iam = make_client(running, "iam", REGION)
        made = iam.create_service_linked_role(AWSServiceName="spot.amazonaws.com")["Role"]
        code, _ = refused(
            lambda: iam.create_service_linked_role(AWSServiceName="spot.amazonaws.com")
        )
        after = account.identity.service_linked_roles(SERVICE_LINKED)
        control.stop(tmp_path)
        assert set(before.values()) == {False}
        assert made["Path"] == "/aws-service-role/spot.amazonaws.com/"
        assert code == "InvalidInput"
        assert [service for service, there in after.items() if there] == ["spot.amazonaws.com"]

    def test_what_may_not_be_looked_at(self, account: Account, allow: Allow) -> None:
        allow("ec2:DescribeVpcs")
        found = account.identity.service_linked_roles({"eks.amazonaws.com": "SomeRole"})
        assert isinstance(found["eks.amazonaws.com"], JarkkitError)


class TestEnforcement:
    @pytest.mark.parametrize(
        ("service", "call", "code", "action"),
        [
            ("ec2", "describe_vpcs", "UnauthorizedOperation", "ec2:DescribeVpcs"),
            ("eks", "list_clusters", "AccessDeniedException", "eks:ListClusters"),
            ("iam", "list_roles", "AccessDenied", "iam:ListRoles"),
            ("s3", "list_buckets", "AccessDenied", "s3:ListAllMyBuckets"),
            ("kms", "list_keys", "AccessDeniedException", "kms:ListKeys"),
            ("efs", "describe_file_systems", "AccessDeniedException", "DescribeFileSystems"),
            ("budgets", "describe_budgets", "AccessDeniedException", "budgets:ViewBudget"),
        ],
    )
    def test_every_service_refuses_in_its_own_words(
        self,
        client: Callable[[str], Any],
        allow: Allow,
        service: str,
        call: str,
        code: str,
        action: str,
    ) -> None:
        allow("sts:GetCallerIdentity")
        words = {"AccountId": ACCOUNT} if service == "budgets" else {}
        said = refused(lambda: getattr(client(service), call)(**words))
        assert said[0] == code
        assert f"User: {LEARNER} is not authorized to perform: " in said[1]
        assert f"because no identity-based policy allows the {action}" in said[1].replace(
            "elasticfilesystem:", ""
        )

    def test_who_one_is_may_always_be_asked(self, account: Account, allow: Allow) -> None:
        allow("ec2:DescribeVpcs")
        assert account.caller().arn == LEARNER

    def test_tags_in_the_request_and_on_the_thing(
        self, client: Callable[[str], Any], allow: Allow
    ) -> None:
        ec2 = client("ec2")
        theirs = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        given = {"StringEquals": {"aws:RequestTag/own": "yes"}}
        allow("ec2:CreateVpc", "ec2:CreateTags", Condition=given)
        tags = [{"ResourceType": "vpc", "Tags": [{"Key": "own", "Value": "yes"}]}]
        code, _ = refused(lambda: ec2.create_vpc(CidrBlock="10.2.0.0/16"))
        assert code == "UnauthorizedOperation"
        ours = ec2.create_vpc(CidrBlock="10.2.0.0/16", TagSpecifications=tags)["Vpc"]["VpcId"]
        allow("ec2:DeleteVpc", Condition={"StringEquals": {"aws:ResourceTag/own": "yes"}})
        _, words = refused(lambda: ec2.delete_vpc(VpcId=theirs))
        assert f"on resource: arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/{theirs}" in words
        ec2.delete_vpc(VpcId=ours)

    def test_roles_are_passed_to_a_service(
        self, client: Callable[[str], Any], allow: Allow
    ) -> None:
        role = f"arn:aws:iam::{ACCOUNT}:role/x"
        allow("eks:*", "iam:*", Condition={"StringNotEqualsIfExists": _NOT_TO_EKS})
        _, words = refused(
            lambda: client("eks").create_cluster(
                name="c", roleArn=role, resourcesVpcConfig={"subnetIds": ["subnet-00000000"]}
            )
        )
        assert f"is not authorized to perform: iam:PassRole on resource: {role}" in words

    def test_calls_with_another_key_are_not_the_users(
        self, sandbox: control.Running, client: Callable[[str], Any], allow: Allow
    ) -> None:
        key = client("iam").create_access_key(UserName="learner")["AccessKey"]
        allow("sts:GetCallerIdentity")
        other = make_client(replace(sandbox, env=_keys(key)), "eks", REGION)
        assert other.list_clusters()["clusters"] == []

    def test_what_was_needed_is_noted_once(
        self, sandbox: control.Running, client: Callable[[str], Any]
    ) -> None:
        for _ in range(2):
            client("sqs").list_queues(QueueNamePrefix="noted")
        lines = (sandbox.home / "permissions.log").read_text().splitlines()
        found = [json.loads(line) for line in lines if "sqs:ListQueues" in line]
        assert found == [["sqs:ListQueues", "*", {"aws:RequestedRegion": [REGION]}]]

    def test_a_policy_that_aws_would_not_take(
        self, sandbox: control.Running, tmp_path: Path
    ) -> None:
        wrong = tmp_path / "wrong.json"
        long = {"Effect": "Allow", "Action": ["s3:" + "x" * 80] * 100, "Resource": "*"}
        for text in ("{", "{}", json.dumps({"Statement": [long]})):
            wrong.write_text(text)
            with pytest.raises(JarkkitError) as caught:
                control.set_policies(sandbox.home, [wrong])
            assert caught.value.code == "JK-SANDBOX-POLICY"


_NOT_TO_EKS = {"iam:PassedToService": "eks.amazonaws.com"}


def _keys(key: dict[str, str]) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }
