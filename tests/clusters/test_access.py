"""Who may do what: the tokens that EKS uses, access entries and access policies."""

from __future__ import annotations

import base64
import time
from typing import ClassVar

import pytest

from jarkkit.sandbox.controllers import tokens
from tests.support.access import api_with_token, create_access_entry, response_status, token
from tests.support.clusters import NAME, REGION, RehearsalCluster
from tests.support.poll import wait_for


def test_the_creator_of_a_cluster_is_its_administrator(cluster: RehearsalCluster) -> None:
    api = api_with_token(cluster, token(cluster.running.env))
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    who = api.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    assert who["status"]["userInfo"]["username"] == "arn:aws:iam::123456789012:user/learner"
    assert api.list("/api/v1/namespaces/kube-system/secrets") is not None


def test_a_role_without_an_access_entry_is_unauthorized(
    cluster: RehearsalCluster, role: dict[str, str]
) -> None:
    assert (
        response_status(lambda: api_with_token(cluster, token(role)).list("/api/v1/namespaces"))
        == 401
    )
    create_access_entry(cluster, role["arn"])
    api = api_with_token(cluster, token(role))
    wait_for(lambda: response_status(lambda: api.list("/api/v1/namespaces")) == 403)


def test_a_viewer_can_list_pods_but_change_nothing(
    cluster: RehearsalCluster, namespace: str, role: dict[str, str]
) -> None:
    create_access_entry(cluster, role["arn"], "AmazonEKSViewPolicy")
    api = api_with_token(cluster, token(role))
    namespace_path = f"/api/v1/namespaces/{namespace}"
    wait_for(lambda: api.list(f"{namespace_path}/pods") == [])
    assert (
        response_status(
            lambda: api.create(f"{namespace_path}/configmaps", {"metadata": {"name": "x"}})
        )
        == 403
    )
    assert response_status(lambda: api.list(f"{namespace_path}/secrets")) == 403
    assert response_status(lambda: api.list("/api/v1/nodes")) == 403


def test_a_namespace_policy_grants_nothing_elsewhere(
    cluster: RehearsalCluster, namespace: str, role: dict[str, str]
) -> None:
    create_access_entry(cluster, role["arn"], "AmazonEKSEditPolicy", (f"{namespace[:-1]}*",))
    api = api_with_token(cluster, token(role))
    made = {"metadata": {"name": "x"}}
    wait_for(lambda: api.create(f"/api/v1/namespaces/{namespace}/configmaps", made))
    assert response_status(lambda: api.list("/api/v1/namespaces/default/pods")) == 403


def test_a_deleted_access_entry_soon_locks_the_role_out(
    cluster: RehearsalCluster, role: dict[str, str]
) -> None:
    create_access_entry(cluster, role["arn"], "AmazonEKSViewPolicy")
    api = api_with_token(cluster, token(role))
    wait_for(lambda: api.list("/api/v1/namespaces/default/pods") == [])
    cluster.client("eks").delete_access_entry(clusterName=NAME, principalArn=role["arn"])
    wait_for(
        lambda: response_status(lambda: api.list("/api/v1/namespaces/default/pods")) == 401, 120
    )


def test_a_token_for_another_cluster_is_unauthorized(cluster: RehearsalCluster) -> None:
    api = api_with_token(cluster, token(cluster.running.env, "another"))
    assert response_status(lambda: api.list("/api/v1/namespaces")) == 401


def test_an_unknown_access_key_is_unauthorized(cluster: RehearsalCluster) -> None:
    environ = {**cluster.running.env, "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE"}
    api = api_with_token(cluster, token(environ))
    assert response_status(lambda: api.list("/api/v1/namespaces")) == 401


class TestTokens:
    """Checks of tokens that need no API server."""

    environ: ClassVar = {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "a secret",
    }

    def test_a_token_of_jarkkit_is_valid(self) -> None:
        signed = tokens.parse_token(token(self.environ), time.time())
        assert (signed.key_id, signed.region) == (self.environ["AWS_ACCESS_KEY_ID"], REGION)
        tokens.verify_signature(signed, "a secret", None, NAME)

    @pytest.mark.parametrize(("secret", "cluster"), [("another", NAME), ("a secret", "another")])
    def test_another_secret_or_cluster_fails_the_signature_check(
        self, secret: str, cluster: str
    ) -> None:
        signed = tokens.parse_token(token(self.environ), time.time())
        with pytest.raises(tokens.TokenError, match="signature"):
            tokens.verify_signature(signed, secret, None, cluster)

    @pytest.mark.parametrize("seconds", [16 * 60, -6 * 60])
    def test_a_token_is_rejected_outside_its_quarter_of_an_hour(self, seconds: float) -> None:
        with pytest.raises(tokens.TokenError, match=r"expired|future"):
            tokens.parse_token(token(self.environ), time.time() + seconds)

    @pytest.mark.parametrize(
        "url",
        [
            "https://example.org/?Action=GetCallerIdentity",
            "https://sts.amazonaws.com/?Action=AssumeRole",
            "https://sts.amazonaws.com/?Action=GetCallerIdentity&X-Amz-SignedHeaders=host",
            "https://sts.amazonaws.com@example.org/?Action=GetCallerIdentity",
        ],
    )
    def test_another_presigned_request_is_rejected_as_a_token(self, url: str) -> None:
        made = "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
        with pytest.raises(tokens.TokenError):
            tokens.parse_token(made, time.time())

    @pytest.mark.parametrize("made", ["", "abc", "k8s-aws-v1.%%%", "k8s-aws-v1."])
    def test_a_malformed_token_is_rejected(self, made: str) -> None:
        with pytest.raises(tokens.TokenError):
            tokens.parse_token(made, time.time())

    def test_a_role_session_matches_its_role_whatever_the_path(self) -> None:
        who = tokens.TokenIdentity(
            "arn:aws:sts::123456789012:assumed-role/team/ann", "123456789012", "AROA:ann", "ASIA"
        )
        assert who.is_principal("arn:aws:iam::123456789012:role/path/team")
        assert not who.is_principal("arn:aws:iam::123456789012:role/other")
        assert not who.is_principal("arn:aws:iam::999999999999:role/team")
        assert not who.is_principal("arn:aws:iam::123456789012:user/team")
