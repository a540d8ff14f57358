"""The caller's own access to a cluster: an EKS access entry with administrator rights.

Terraform gives access to the principal that created the cluster and to `admin_principals`. A second
operator who shares the state gets an entry here, so that no deploy takes access away from another.
"""

from __future__ import annotations

from typing import Any

from jarkkit.decisions.ownership import DEPLOYMENT_TAG
from jarkkit.model.errors import ObjectNotFound
from jarkkit.model.records import Caller
from jarkkit.ports.aws.identity import CallerIdentity
from jarkkit.ports.aws.session import AwsSession, translate_errors

_ADMINISTRATOR = "cluster-access-policy/AmazonEKSClusterAdminPolicy"
# Entries that this module created; Terraform gives its own their policy.
_OWN_TAG = "jarkkit:operator"


class ClusterAccess:
    """Access entries of one account and Region. The constructor makes no call."""

    def __init__(self, session: AwsSession, identity: CallerIdentity) -> None:
        self._session = session
        self._identity = identity

    def ensure(self, cluster: str, caller: Caller) -> str:
        """Make the caller an administrator of the cluster, unless it has an access entry.

        An entry that an earlier call left without its policy is completed; the entries of others,
        whatever their rights, stay as they are.

        Returns the ARN of the principal that got access; empty if nothing had to change, or for
        the root user and federated users, which cannot have an entry of their own. Raises
        JK-AWS-….
        """
        principal = self._identity.principal(caller)
        if not principal:
            return ""
        entry = self._entry(cluster, principal)
        if entry is None:
            self._create_entry(cluster, principal)
        elif _OWN_TAG not in entry.get("tags", {}) or self._has_policy(cluster, principal):
            return ""
        with translate_errors("eks AssociateAccessPolicy"):
            self._eks.associate_access_policy(
                clusterName=cluster,
                principalArn=principal,
                policyArn=f"arn:{principal.split(':')[1]}:eks::aws:{_ADMINISTRATOR}",
                accessScope={"type": "cluster"},
            )
        return principal

    def _entry(self, cluster: str, principal: str) -> dict[str, Any] | None:
        try:
            with translate_errors("eks DescribeAccessEntry"):
                answer = self._eks.describe_access_entry(
                    clusterName=cluster, principalArn=principal
                )
        except ObjectNotFound:
            return None
        return dict(answer["accessEntry"])

    def _create_entry(self, cluster: str, principal: str) -> None:
        tags = {DEPLOYMENT_TAG: cluster, _OWN_TAG: "true"}
        with translate_errors("eks CreateAccessEntry"):
            self._eks.create_access_entry(clusterName=cluster, principalArn=principal, tags=tags)

    def _has_policy(self, cluster: str, principal: str) -> bool:
        with translate_errors("eks ListAssociatedAccessPolicies"):
            answer = self._eks.list_associated_access_policies(
                clusterName=cluster, principalArn=principal
            )
        return bool(answer["associatedAccessPolicies"])

    @property
    def _eks(self) -> Any:
        return self._session.client("eks")
