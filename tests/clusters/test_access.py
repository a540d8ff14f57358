"""Who may do what: the same tokens as on EKS, access entries, policies."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from jarkkit.aws.session import Session
from jarkkit.aws.token import cluster_token
from jarkkit.sandbox.cluster.api import Api, ApiError, Credentials
from jarkkit.sandbox.eks import tokens
from tests.clusters.conftest import NAME, REGION, World, wait_for

POLICY = "arn:aws:eks::aws:cluster-access-policy/"


def token(environ: dict[str, str], cluster: str = NAME) -> str:
    """As the kit makes it."""
    return cluster_token(Session(REGION, environ), cluster, datetime.now(UTC))[0]


def api_as(world: World, bearer: str) -> Api:
    """The cluster's API with nothing but a token."""
    authority = world.folder / "clusters" / "cluster" / "pki" / "ca.crt"
    return Api(world.api.endpoint, Credentials(authority, token=bearer))


def refused(ask: Callable[[], Any]) -> int:
    """The status with which it is refused; 200 when it is not."""
    try:
        ask()
    except ApiError as error:
        return error.status
    return 200


@pytest.fixture
def role(world: World, namespace: str) -> dict[str, str]:
    """The environment of a fresh role's session; nobody has let it in."""
    name = f"role-{namespace}"
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    arn = world.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    session = world.client("sts").assume_role(
        RoleArn=arn["Role"]["Arn"], RoleSessionName="ann@example.org"
    )["Credentials"]
    return {
        "AWS_ENDPOINT_URL": world.running.endpoint,
        "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
        "AWS_SESSION_TOKEN": session["SessionToken"],
        "arn": arn["Role"]["Arn"],
    }


def let_in(world: World, arn: str, policy: str = "", namespaces: tuple[str, ...] = ()) -> None:
    """An access entry, with a policy for the cluster or for namespaces."""
    eks = world.client("eks")
    eks.create_access_entry(clusterName=NAME, principalArn=arn, kubernetesGroups=["ours"])
    if policy:
        kind = "namespace" if namespaces else "cluster"
        scope = {"type": kind, **({"namespaces": list(namespaces)} if namespaces else {})}
        eks.associate_access_policy(
            clusterName=NAME, principalArn=arn, policyArn=POLICY + policy, accessScope=scope
        )


def test_the_creator_is_an_administrator(world: World) -> None:
    api = api_as(world, token(world.running.env))
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    who = api.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    assert who["status"]["userInfo"]["username"] == "arn:aws:iam::123456789012:user/learner"
    assert api.list("/api/v1/namespaces/kube-system/secrets") is not None


def test_nobody_comes_in_without_an_entry(world: World, role: dict[str, str]) -> None:
    assert refused(lambda: api_as(world, token(role)).list("/api/v1/namespaces")) == 401
    let_in(world, role["arn"])
    api = api_as(world, token(role))
    wait_for(lambda: refused(lambda: api.list("/api/v1/namespaces")) == 403)


def test_a_viewer_sees_and_changes_nothing(
    world: World, namespace: str, role: dict[str, str]
) -> None:
    let_in(world, role["arn"], "AmazonEKSViewPolicy")
    api = api_as(world, token(role))
    place = f"/api/v1/namespaces/{namespace}"
    wait_for(lambda: api.list(f"{place}/pods") == [])
    assert refused(lambda: api.create(f"{place}/configmaps", {"metadata": {"name": "x"}})) == 403
    assert refused(lambda: api.list(f"{place}/secrets")) == 403
    assert refused(lambda: api.list("/api/v1/nodes")) == 403


def test_a_policy_for_a_namespace_ends_there(
    world: World, namespace: str, role: dict[str, str]
) -> None:
    let_in(world, role["arn"], "AmazonEKSEditPolicy", (f"{namespace[:-1]}*",))
    api = api_as(world, token(role))
    made = {"metadata": {"name": "x"}}
    wait_for(lambda: api.create(f"/api/v1/namespaces/{namespace}/configmaps", made))
    assert refused(lambda: api.list("/api/v1/namespaces/default/pods")) == 403


def test_an_entry_that_is_taken_away_is_felt_soon(world: World, role: dict[str, str]) -> None:
    let_in(world, role["arn"], "AmazonEKSViewPolicy")
    api = api_as(world, token(role))
    wait_for(lambda: api.list("/api/v1/namespaces/default/pods") == [])
    world.client("eks").delete_access_entry(clusterName=NAME, principalArn=role["arn"])
    wait_for(lambda: refused(lambda: api.list("/api/v1/namespaces/default/pods")) == 401, 120)


def test_a_token_for_another_cluster_is_refused(world: World) -> None:
    api = api_as(world, token(world.running.env, "another"))
    assert refused(lambda: api.list("/api/v1/namespaces")) == 401


def test_a_key_that_the_account_does_not_know_is_refused(world: World) -> None:
    environ = {**world.running.env, "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE"}
    api = api_as(world, token(environ))
    assert refused(lambda: api.list("/api/v1/namespaces")) == 401


class TestTokens:
    """What no API server is needed for."""

    environ: ClassVar = {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "a secret",
    }

    def test_one_of_the_kit_is_valid(self) -> None:
        signed = tokens.read(token(self.environ), time.time())
        assert (signed.key_id, signed.region) == (self.environ["AWS_ACCESS_KEY_ID"], REGION)
        tokens.check(signed, "a secret", None, NAME)

    @pytest.mark.parametrize(("secret", "cluster"), [("another", NAME), ("a secret", "another")])
    def test_another_secret_or_cluster_is_not(self, secret: str, cluster: str) -> None:
        signed = tokens.read(token(self.environ), time.time())
        with pytest.raises(tokens.TokenError, match="signature"):
            tokens.check(signed, secret, None, cluster)

    @pytest.mark.parametrize("seconds", [16 * 60, -6 * 60])
    def test_it_is_valid_for_a_quarter_of_an_hour(self, seconds: float) -> None:
        with pytest.raises(tokens.TokenError, match=r"expired|future"):
            tokens.read(token(self.environ), time.time() + seconds)

    @pytest.mark.parametrize(
        "url",
        [
            "https://example.org/?Action=GetCallerIdentity",
            "https://sts.amazonaws.com/?Action=AssumeRole",
            "https://sts.amazonaws.com/?Action=GetCallerIdentity&X-Amz-SignedHeaders=host",
            "https://sts.amazonaws.com@example.org/?Action=GetCallerIdentity",
        ],
    )
    def test_other_requests_are_no_tokens(self, url: str) -> None:
        made = "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
        with pytest.raises(tokens.TokenError):
            tokens.read(made, time.time())

    @pytest.mark.parametrize("made", ["", "abc", "k8s-aws-v1.%%%", "k8s-aws-v1."])
    def test_neither_is_nonsense(self, made: str) -> None:
        with pytest.raises(tokens.TokenError):
            tokens.read(made, time.time())

    def test_a_session_is_its_role_whatever_the_path(self) -> None:
        who = tokens.Identity(
            "arn:aws:sts::123456789012:assumed-role/team/ann", "123456789012", "AROA:ann", "ASIA"
        )
        assert who.is_principal("arn:aws:iam::123456789012:role/path/team")
        assert not who.is_principal("arn:aws:iam::123456789012:role/other")
        assert not who.is_principal("arn:aws:iam::999999999999:role/team")
        assert not who.is_principal("arn:aws:iam::123456789012:user/team")
