"""A sandbox with one real cluster that all tests share; every test gets its own namespace."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

import pytest

from tests.support.clusters import RehearsalCluster, sandbox_with_cluster
from tests.support.poll import wait_for


@pytest.fixture(scope="package")
def cluster() -> Iterator[RehearsalCluster]:
    with sandbox_with_cluster() as created:
        yield created


@pytest.fixture
def namespace(cluster: RehearsalCluster) -> Iterator[str]:
    name = f"test-{secrets.token_hex(4)}"
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    wait_for(lambda: cluster.api.find(f"/api/v1/namespaces/{name}/serviceaccounts/default"))
    yield name
    cluster.api.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def role(cluster: RehearsalCluster, namespace: str) -> dict[str, str]:
    """The environment of a new role's session. The role has no access entry."""
    name = f"role-{namespace}"
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    arn = cluster.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    session = cluster.client("sts").assume_role(
        RoleArn=arn["Role"]["Arn"], RoleSessionName="ann@example.org"
    )["Credentials"]
    return {
        "AWS_ENDPOINT_URL": cluster.running.endpoint,
        "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
        "AWS_SESSION_TOKEN": session["SessionToken"],
        "arn": arn["Role"]["Arn"],
    }
