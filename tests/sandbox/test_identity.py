"""The caller's identity and simulated permissions, and what a restricted user may do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jarkkit.decisions.permissions import needed_statements
from jarkkit.decisions.permissions.simulation import (
    SimulationRequest,
    SimulationResult,
    simulation_requests,
)
from jarkkit.decisions.permissions.statements import SERVICE_LINKED_ROLES
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Caller
from jarkkit.model.unknown import Unknown
from jarkkit.ports.aws import Account
from jarkkit.ports.aws.session import client_error_code
from jarkkit.sandbox import daemon_client
from jarkkit.settings import Settings
from tests.support.account import assumed_role, make_client, sandbox_environment
from tests.support.stacks import resolved

REGION = "us-west-2"
ACCOUNT = "123456789012"
LEARNER = f"arn:aws:iam::{ACCOUNT}:user/learner"
Allow = Callable[..., None]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[daemon_client.RunningSandbox]:
    """A separate sandbox account whose user the tests restrict."""
    running = daemon_client.start(tmp_path_factory.mktemp("limited"), account_only=True)
    yield running
    daemon_client.stop(running.home)


@pytest.fixture
def set_policy(
    sandbox: daemon_client.RunningSandbox, tmp_path: Path
) -> Iterator[Callable[..., None]]:
    """Limit the user to a policy with these statements until the end of the test."""

    def set_statements(*statements: dict[str, Any]) -> None:
        policy = tmp_path / "some.json"
        policy.write_text(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))
        daemon_client.set_policies(sandbox.home, [policy])

    yield set_statements
    daemon_client.set_policies(sandbox.home, [])


@pytest.fixture
def allow(set_policy: Callable[..., None]) -> Allow:
    """Allow the user only these actions until the end of the test."""

    def set_allowed(*actions: str, resource: str = "*", **more: Any) -> None:
        set_policy({"Effect": "Allow", "Action": list(actions), "Resource": resource, **more})

    return set_allowed


def rejection(call: Callable[[], Any]) -> tuple[str, str]:
    """Return the code and the message of a rejected call."""
    with pytest.raises(ClientError) as caught:
        call()
    return client_error_code(caught.value), str(caught.value)


def simulate(account: Account, *asked: SimulationRequest) -> list[Sequence[SimulationResult]]:
    """Return the simulator's answers; check that none is missing."""
    answers = account.identity.simulate(LEARNER, asked)
    assert list(answers) == list(asked)
    return [found for found in answers.values() if not isinstance(found, Unknown)]


class TestSimulation:
    def test_the_user_of_a_rehearsal_is_allowed_everything(self, account: Account) -> None:
        answers = simulate(
            account, *simulation_requests(needed_statements(resolved(Settings()), ACCOUNT))
        )
        assert len(answers) > 10
        assert all(decision.allowed for found in answers for decision in found)

    def test_a_simulation_considers_actions_resources_and_conditions(
        self, account: Account, allow: Allow
    ) -> None:
        allow(
            "ec2:CreateVpc",
            "iam:SimulatePrincipalPolicy",
            Condition={"StringEqualsIfExists": {"aws:RequestTag/team": "a"}},
        )
        asked = [
            SimulationRequest(
                ("ec2:CreateVpc", "ec2:DeleteVpc"), ("*",), (("aws:RequestTag/team", team),)
            )
            for team in "ab"
        ]
        own, foreign = simulate(account, *asked)
        assert [d.decision for d in own] == ["allowed", "implicitDeny"]
        assert [d.decision for d in foreign] == ["implicitDeny"] * 2
        assert [d.by_organization for d in own] == [None, None]

    def test_a_simulation_of_many_actions_takes_several_calls(self, account: Account) -> None:
        actions = tuple(f"ec2:DescribeExample{number}" for number in range(230))
        (found,) = simulate(account, SimulationRequest(actions, ("*",), ()))
        assert [d.action for d in found] == list(actions)

    def test_a_denied_simulation_is_an_error_of_its_request(
        self, account: Account, allow: Allow
    ) -> None:
        allow("ec2:DescribeVpcs")
        request = SimulationRequest(("ec2:DescribeVpcs",), ("*",), ())
        answer = account.identity.simulate(LEARNER, [request])[request]
        assert isinstance(answer, Unknown)
        assert answer.reason.code == "JK-AWS-DENIED"

    def test_a_denied_answer_is_not_cached(self, account: Account, allow: Allow) -> None:
        request = SimulationRequest(("eks:ListClusters",), ("*",), ())
        allow("iam:SimulatePrincipalPolicy")
        (before,) = simulate(account, request)
        allow("iam:SimulatePrincipalPolicy", "eks:ListClusters")
        (after,) = simulate(account, request)
        assert [d.allowed for d in (*before, *after)] == [False, True]

    def test_a_custom_policy_can_be_simulated(self, client: Callable[[str], Any]) -> None:
        policy = {"Statement": {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}}
        found = client("iam").simulate_custom_policy(
            PolicyInputList=[json.dumps(policy)], ActionNames=["s3:GetObject", "ec2:RunInstances"]
        )["EvaluationResults"]
        assert [result["EvalDecision"] for result in found] == ["explicitDeny", "implicitDeny"]

    def test_policies_of_groups_are_simulated(self, client: Callable[[str], Any]) -> None:
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

    def test_a_missing_user_is_an_error(self, client: Callable[[str], Any]) -> None:
        missing_user = f"arn:aws:iam::{ACCOUNT}:user/missing"
        code, _ = rejection(
            lambda: client("iam").simulate_principal_policy(
                PolicySourceArn=missing_user, ActionNames=["s3:GetObject"]
            )
        )
        assert code == "NoSuchEntity"


_VERSION = {"Version": "2012-10-17"}


class TestCallers:
    def test_a_session_is_resolved_to_its_role_with_the_path(
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
    def test_callers_without_a_policy_source_are_not_simulated(
        self, account: Account, rest: str
    ) -> None:
        caller = Caller(account_id=ACCOUNT, arn=f"arn:aws:{rest}")
        assert account.identity.principal(caller) == ""

    def test_a_role_whose_lookup_is_denied_is_not_simulated(
        self, account: Account, allow: Allow
    ) -> None:
        allow("ec2:DescribeVpcs")
        arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/Admin/ann"
        with pytest.raises(JarkkitError) as caught:
            account.identity.principal(Caller(account_id=ACCOUNT, arn=arn))
        assert caught.value.code == "JK-AWS-DENIED"


class TestServiceLinkedRoles:
    def test_a_prepared_account_has_service_linked_roles(self, account: Account) -> None:
        assert set(account.identity.service_linked_roles(SERVICE_LINKED_ROLES).values()) == {True}

    def test_a_fresh_account_gets_service_linked_roles_at_first_use(self, tmp_path: Path) -> None:
        running = daemon_client.start(tmp_path, account_only=True, profile="fresh-account")
        account = Account(REGION, sandbox_environment(running))
        before = account.identity.service_linked_roles(SERVICE_LINKED_ROLES)
        iam = make_client(running, "iam", REGION)
        made = iam.create_service_linked_role(AWSServiceName="spot.amazonaws.com")["Role"]
        code, _ = rejection(
            lambda: iam.create_service_linked_role(AWSServiceName="spot.amazonaws.com")
        )
        after = account.identity.service_linked_roles(SERVICE_LINKED_ROLES)
        daemon_client.stop(tmp_path)
        assert set(before.values()) == {False}
        assert made["Path"] == "/aws-service-role/spot.amazonaws.com/"
        assert code == "InvalidInput"
        assert [service for service, there in after.items() if there] == ["spot.amazonaws.com"]

    def test_a_denied_lookup_of_service_linked_roles_is_an_error(
        self, account: Account, allow: Allow
    ) -> None:
        allow("ec2:DescribeVpcs")
        found = account.identity.service_linked_roles({"eks.amazonaws.com": "SomeRole"})
        assert isinstance(found["eks.amazonaws.com"], Unknown)


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
    def test_every_service_rejects_in_its_own_format(
        self,
        client: Callable[[str], Any],
        allow: Allow,
        service: str,
        call: str,
        code: str,
        action: str,
    ) -> None:
        allow("sts:GetCallerIdentity")
        parameters = {"AccountId": ACCOUNT} if service == "budgets" else {}
        answer = rejection(lambda: getattr(client(service), call)(**parameters))
        assert answer[0] == code
        assert f"User: {LEARNER} is not authorized to perform: " in answer[1]
        assert f"because no identity-based policy allows the {action}" in answer[1].replace(
            "elasticfilesystem:", ""
        )

    def test_the_callers_identity_is_always_allowed(self, account: Account, allow: Allow) -> None:
        allow("ec2:DescribeVpcs")
        assert account.caller().arn == LEARNER

    def test_conditions_on_request_and_resource_tags_are_enforced(
        self, client: Callable[[str], Any], allow: Allow
    ) -> None:
        ec2 = client("ec2")
        foreign = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        given = {"StringEquals": {"aws:RequestTag/own": "yes"}}
        allow("ec2:CreateVpc", "ec2:CreateTags", Condition=given)
        tags = [{"ResourceType": "vpc", "Tags": [{"Key": "own", "Value": "yes"}]}]
        code, _ = rejection(lambda: ec2.create_vpc(CidrBlock="10.2.0.0/16"))
        assert code == "UnauthorizedOperation"
        own = ec2.create_vpc(CidrBlock="10.2.0.0/16", TagSpecifications=tags)["Vpc"]["VpcId"]
        allow("ec2:DeleteVpc", Condition={"StringEquals": {"aws:ResourceTag/own": "yes"}})
        _, message = rejection(lambda: ec2.delete_vpc(VpcId=foreign))
        assert f"on resource: arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/{foreign}" in message
        ec2.delete_vpc(VpcId=own)

    def test_passing_a_role_to_a_service_is_enforced(
        self, client: Callable[[str], Any], allow: Allow
    ) -> None:
        role = f"arn:aws:iam::{ACCOUNT}:role/x"
        allow("eks:*", "iam:*", Condition={"StringNotEqualsIfExists": _NOT_TO_EKS})
        _, message = rejection(
            lambda: client("eks").create_cluster(
                name="c", roleArn=role, resourcesVpcConfig={"subnetIds": ["subnet-00000000"]}
            )
        )
        assert f"is not authorized to perform: iam:PassRole on resource: {role}" in message

    def test_a_grant_that_must_be_for_aws_is_denied_by_create_cluster_and_the_simulator(
        self,
        client: Callable[[str], Any],
        account: Account,
        set_policy: Callable[..., None],
    ) -> None:
        key = client("kms").create_key()["KeyMetadata"]["Arn"]
        for_aws = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
        every = {"Effect": "Allow", "Resource": "*"}
        set_policy(
            {**every, "NotAction": "kms:CreateGrant"},
            {**every, "Action": "kms:CreateGrant", "Condition": for_aws},
        )
        _, message = rejection(
            lambda: client("eks").create_cluster(
                name="c",
                roleArn=f"arn:aws:iam::{ACCOUNT}:role/x",
                resourcesVpcConfig={"subnetIds": ["subnet-00000000"]},
                encryptionConfig=[{"resources": ["secrets"], "provider": {"keyArn": key}}],
            )
        )
        assert f"is not authorized to perform: kms:CreateGrant on resource: {key}" in message

        needed = needed_statements(resolved(Settings(region=REGION)), ACCOUNT)
        (asked,) = [q for q in simulation_requests(needed) if "kms:CreateGrant" in q.actions]
        results = account.identity.simulate(LEARNER, [asked])[asked]
        assert not isinstance(results, Unknown)
        denied = {result.action for result in results if not result.allowed}
        assert denied == {"kms:CreateGrant"}

    def test_an_account_can_require_a_permissions_boundary_of_every_new_role(
        self,
        client: Callable[[str], Any],
        account: Account,
        set_policy: Callable[..., None],
    ) -> None:
        every = {"Action": "*", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", **every}})
        made = client("iam").create_policy(PolicyName="boundary", PolicyDocument=document)
        boundary = made["Policy"]["Arn"]
        without = {"StringNotEquals": {"iam:PermissionsBoundary": boundary}}
        deny = {"Action": ["iam:CreateRole", "iam:PutRolePolicy"], "Condition": without}
        set_policy({"Effect": "Allow", **every}, {"Effect": "Deny", **every, **deny})

        def decisions(settings: Settings) -> set[str]:
            needed = needed_statements(resolved(settings), ACCOUNT)
            (asked,) = [q for q in simulation_requests(needed) if "iam:CreateRole" in q.actions]
            results = account.identity.simulate(LEARNER, [asked])[asked]
            assert not isinstance(results, Unknown)
            return {r.decision for r in results if r.action in deny["Action"]}

        assert decisions(Settings(region=REGION)) == {"explicitDeny"}
        bounded = Settings(region=REGION, permissions_boundary_arn=boundary)
        assert decisions(bounded) == {"allowed"}

        iam, trust = client("iam"), json.dumps({"Version": "2012-10-17", "Statement": []})
        role = {"RoleName": "new", "AssumeRolePolicyDocument": trust}
        _, message = rejection(lambda: iam.create_role(**role))
        assert "iam:CreateRole" in message
        assert "explicit deny" in message
        iam.create_role(**role, PermissionsBoundary=boundary)
        inline = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **every}]})
        iam.put_role_policy(RoleName="new", PolicyName="own", PolicyDocument=inline)

    def test_calls_with_another_key_are_not_restricted(
        self, sandbox: daemon_client.RunningSandbox, client: Callable[[str], Any], allow: Allow
    ) -> None:
        key = client("iam").create_access_key(UserName="learner")["AccessKey"]
        allow("sts:GetCallerIdentity")
        other = make_client(replace(sandbox, env=_keys(key)), "eks", REGION)
        assert other.list_clusters()["clusters"] == []

    def test_a_limited_key_allows_what_its_own_policies_allow(
        self, sandbox: daemon_client.RunningSandbox, client: Callable[[str], Any]
    ) -> None:
        environ = daemon_client.limited_environment(
            sandbox.home, "lab1", _allowing("eks:ListClusters")
        )
        limited = replace(sandbox, env=environ)
        caller = make_client(limited, "sts", REGION).get_caller_identity()
        assert caller["Arn"] == LEARNER
        eks = make_client(limited, "eks", REGION)
        assert eks.list_clusters()["clusters"] == []
        code, message = rejection(lambda: eks.describe_cluster(name="c"))
        assert code == "AccessDeniedException"
        assert f"{LEARNER} is not authorized to perform: eks:DescribeCluster" in message
        # Calls with the user's first key, such as those of other deployments, are not limited.
        code, _ = rejection(lambda: client("eks").describe_cluster(name="c"))
        assert code == "ResourceNotFoundException"

    def test_the_holder_of_a_limited_key_can_get_other_policies(
        self, sandbox: daemon_client.RunningSandbox
    ) -> None:
        keys, cached, caches = [], [], []
        for action in ("eks:ListClusters", "ec2:DescribeVpcs"):
            environ = daemon_client.limited_environment(sandbox.home, "lab2", _allowing(action))
            keys.append(environ["AWS_ACCESS_KEY_ID"])
            cache = Path(environ["JARKKIT_ACCOUNT_CACHE"])
            cached.append(list(cache.iterdir()))
            caches.append(cache)
            (cache / "answer").touch()
        assert keys[0] == keys[1] != sandbox.env["AWS_ACCESS_KEY_ID"]
        assert cached == [[], []]  # responses from before are not used
        assert [cache.exists() for cache in caches] == [False, True]  # so no name is used twice
        limited = replace(sandbox, env=environ)
        assert make_client(limited, "ec2", REGION).describe_vpcs()["Vpcs"]
        code, _ = rejection(lambda: make_client(limited, "eks", REGION).list_clusters())
        assert code == "AccessDeniedException"
        other = daemon_client.limited_environment(sandbox.home, "lab3", _allowing("sqs:*"))
        assert other["AWS_ACCESS_KEY_ID"] != keys[0]

    @pytest.mark.parametrize(
        ("service", "operation", "code"),
        [
            ("sts", "get_caller_identity", "InvalidClientTokenId"),
            ("eks", "list_clusters", "UnrecognizedClientException"),
            ("ec2", "describe_vpcs", "AuthFailure"),
        ],
    )
    def test_an_unknown_key_of_a_user_is_rejected(
        self, sandbox: daemon_client.RunningSandbox, service: str, operation: str, code: str
    ) -> None:
        gone = replace(sandbox, env={**sandbox.env, "AWS_ACCESS_KEY_ID": "AKIA" + "X" * 16})
        client = make_client(gone, service, REGION)
        assert rejection(getattr(client, operation))[0] == code

    def test_the_keys_of_a_role_s_session_and_of_another_user_are_accepted(
        self, sandbox: daemon_client.RunningSandbox, client: Callable[[str], Any]
    ) -> None:
        iam = client("iam")
        iam.create_user(UserName="other")
        key = iam.create_access_key(UserName="other")["AccessKey"]
        of_a_user = {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }
        for env in (assumed_role(sandbox, "some")[1], of_a_user):
            caller = make_client(replace(sandbox, env=env), "sts", REGION)
            assert caller.get_caller_identity()["Account"] == ACCOUNT

    def test_the_simulator_knows_the_policies_of_a_limited_key(
        self, sandbox: daemon_client.RunningSandbox
    ) -> None:
        environ = daemon_client.limited_environment(
            sandbox.home, "lab1", _allowing("iam:SimulatePrincipalPolicy", "eks:ListClusters")
        )
        limited = Account(REGION, sandbox_environment(replace(sandbox, env=environ)))
        request = SimulationRequest(("eks:ListClusters", "eks:DescribeCluster"), ("*",), ())
        (results,) = simulate(limited, request)
        assert {r.action: r.allowed for r in results} == {
            "eks:ListClusters": True,
            "eks:DescribeCluster": False,
        }

    def test_a_limited_key_rejects_an_invalid_policy(
        self, sandbox: daemon_client.RunningSandbox
    ) -> None:
        many = {str(i): next(iter(_allowing("s3:*").values())) for i in range(11)}
        wrong: dict[str, dict[str, Any]] = {"wrong": {}}
        for policies in (wrong, _allowing(*["s3:" + "x" * 80] * 100), many):
            with pytest.raises(JarkkitError) as caught:
                daemon_client.limited_environment(sandbox.home, "lab4", policies)
            assert caught.value.code == "JK-SANDBOX-POLICY"

    def test_needed_permissions_are_logged_once(
        self, sandbox: daemon_client.RunningSandbox, client: Callable[[str], Any]
    ) -> None:
        for _ in range(2):
            client("sqs").list_queues(QueueNamePrefix="noted")
        lines = (sandbox.home / "permissions.log").read_text().splitlines()
        found = [json.loads(line) for line in lines if "sqs:ListQueues" in line]
        assert found == [["sqs:ListQueues", "*", {"aws:RequestedRegion": [REGION]}]]

    def test_an_invalid_policy_is_rejected(
        self, sandbox: daemon_client.RunningSandbox, tmp_path: Path
    ) -> None:
        wrong = tmp_path / "wrong.json"
        long = {"Effect": "Allow", "Action": ["s3:" + "x" * 80] * 100, "Resource": "*"}
        for text in ("{", "{}", json.dumps({"Statement": [long]})):
            wrong.write_text(text)
            with pytest.raises(JarkkitError) as caught:
                daemon_client.set_policies(sandbox.home, [wrong])
            assert caught.value.code == "JK-SANDBOX-POLICY"


def _allowing(*actions: str) -> dict[str, dict[str, Any]]:
    """Return one policy by name that allows these actions on everything."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return {"some": {"Version": "2012-10-17", "Statement": [statement]}}


_NOT_TO_EKS = {"iam:PassedToService": "eks.amazonaws.com"}


def _keys(key: dict[str, str]) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }
