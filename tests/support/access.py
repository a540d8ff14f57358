"""Tokens, roles and access entries of a cluster's users."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from jarkkit.model.port_answers import ClusterToken
from jarkkit.ports.aws.cluster_token import cluster_token
from jarkkit.ports.aws.session import AwsSession
from jarkkit.sandbox.kubernetes.api import Api, ApiError
from tests.support.clusters import NAME, REGION, RehearsalCluster

POLICY = "arn:aws:eks::aws:cluster-access-policy/"


def token(environ: dict[str, str], cluster: str = NAME) -> str:
    """Return a token as jarkkit makes it."""
    return cluster_token(AwsSession(REGION, environ), cluster, datetime.now(UTC)).token


def api_with_token(cluster: RehearsalCluster, bearer: str) -> Api:
    """Return a client of the cluster's API that has a bearer token only."""
    authority = cluster.folder / "clusters" / "cluster" / "pki" / "ca.crt"
    made = ClusterToken(bearer, datetime.now(UTC) + timedelta(hours=1))
    return Api(cluster.api.endpoint, authority, lambda: made)


def response_status(request: Callable[[], Any]) -> int:
    """Return the HTTP status with which the API rejects a request, or 200 if it does not."""
    try:
        request()
    except ApiError as error:
        return error.status
    return 200


def create_access_entry(
    cluster: RehearsalCluster, arn: str, policy: str = "", namespaces: tuple[str, ...] = ()
) -> None:
    """Create an access entry, with a policy for the cluster or for some namespaces."""
    eks = cluster.client("eks")
    eks.create_access_entry(clusterName=NAME, principalArn=arn, kubernetesGroups=["ours"])
    if policy:
        scope_type = "namespace" if namespaces else "cluster"
        scope = {"type": scope_type, **({"namespaces": list(namespaces)} if namespaces else {})}
        eks.associate_access_policy(
            clusterName=NAME, principalArn=arn, policyArn=POLICY + policy, accessScope=scope
        )
