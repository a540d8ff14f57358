"""EKS Pod Identity: exchanges a service account's token for its associated role's credentials.

https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
"""

from __future__ import annotations

from jarkkit.sandbox.account.eks.principals import POD_ACTIONS, is_trusting
from jarkkit.sandbox.account_backends import Backends
from jarkkit.sandbox.controllers.cluster_context import ClusterContext
from jarkkit.sandbox.kubernetes.api import Api

AUDIENCE = "pods.eks.amazonaws.com"
_SECONDS = 6 * 3600


class PodIdentityDeniedError(Exception):
    """No credentials for this token; the text says why."""


def associated_role(
    aws: Backends, cluster: str, namespace: str, service_account: str
) -> str | None:
    """Return the role that the service account is associated with."""
    extras = aws.eks.extras.get(cluster)
    for association in extras.associations.values() if extras else ():
        if (association.namespace, association.service_account) == (namespace, service_account):
            return str(association.role_arn)
    return None


def issue_credentials(cluster: ClusterContext, token: str) -> dict[str, str]:
    """Return what the agent answers to a pod. Raises PodIdentityDeniedError, ApiError."""
    namespace, service_account = _who(cluster.api, token)
    with cluster.change_account() as aws:
        arn = associated_role(aws, cluster.name, namespace, service_account)
        if arn is None:
            raise PodIdentityDeniedError(
                f"{namespace}/{service_account} has no Pod Identity association"
            )
        role = aws.iam.get_role(arn.rsplit("/", 1)[-1])
        if not is_trusting(role, AUDIENCE, POD_ACTIONS):
            raise PodIdentityDeniedError(f"{arn} does not trust {AUDIENCE}")
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
        raise PodIdentityDeniedError("the token belongs to no service account of this cluster")
    return words[2], words[3]
