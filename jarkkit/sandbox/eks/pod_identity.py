"""EKS Pod Identity: a service account's token becomes its role's credentials, by association only.

https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jarkkit.sandbox.backends import Backends

if TYPE_CHECKING:
    from jarkkit.sandbox.cluster.api import Api
    from jarkkit.sandbox.eks.cluster import Cluster

AUDIENCE = "pods.eks.amazonaws.com"
_SECONDS = 6 * 3600


class NotAllowedError(Exception):
    """No credentials for this token; the text says why."""


def role_of(aws: Backends, cluster: str, namespace: str, service_account: str) -> str | None:
    """The role that the service account is associated with."""
    extras = aws.eks.extras.get(cluster)
    for association in extras.associations.values() if extras else ():
        if (association.namespace, association.service_account) == (namespace, service_account):
            return str(association.role_arn)
    return None


def trusts_pods(document: str) -> bool:
    """True when a trust policy lets EKS Pod Identity assume the role and tag the session."""
    allowed: set[str] = set()
    for statement in _many(json.loads(document).get("Statement", [])):
        services = _many(statement.get("Principal", {}).get("Service", []))
        if statement.get("Effect") == "Allow" and AUDIENCE in services:
            allowed.update(_many(statement.get("Action", [])))
    return "sts:*" in allowed or {"sts:AssumeRole", "sts:TagSession"} <= allowed


def credentials(cluster: Cluster, token: str) -> dict[str, str]:
    """What the Pod Identity agent answers to a pod. Raises NotAllowedError, ApiError."""
    namespace, service_account = _who(cluster.api, token)
    with cluster.change() as aws:
        arn = role_of(aws, cluster.name, namespace, service_account)
        if arn is None:
            raise NotAllowedError(f"{namespace}/{service_account} has no Pod Identity association")
        role = aws.iam.get_role(arn.rsplit("/", 1)[-1])
        if not trusts_pods(role.assume_role_policy_document):
            raise NotAllowedError(f"{arn} does not trust {AUDIENCE}")
        session = aws.sts.assume_role(
            region_name=aws.region,
            role_session_name=f"eks-{cluster.name}-{service_account}"[:64],
            role_arn=arn,
            policy=None,
            duration=_SECONDS,
            external_id=None,
        )
        return {
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret_access_key,
            "Token": session.session_token,
            "AccountId": session.account_id,
            "Expiration": session.expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


def _who(api: Api, token: str) -> tuple[str, str]:
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": [AUDIENCE]},
    }
    status = api.create("/apis/authentication.k8s.io/v1/tokenreviews", review)["status"]
    words = status.get("user", {}).get("username", "").split(":")
    if not status.get("authenticated") or words[:2] != ["system", "serviceaccount"]:
        raise NotAllowedError("the token is not a service account's of this cluster")
    return words[2], words[3]


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
