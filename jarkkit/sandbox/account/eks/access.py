"""Access entries with their policies, and EKS Pod Identity associations."""

from __future__ import annotations

from typing import Any

from moto.core.utils import utcnow
from moto.eks.exceptions import InvalidRequestException
from moto.moto_api._internal import mock_random as random

from jarkkit.sandbox.account import eks_reference_data as facts
from jarkkit.sandbox.account.eks import principals
from jarkkit.sandbox.account.eks.core import EksCore, raise_in_use, raise_invalid, raise_not_found
from jarkkit.sandbox.account.eks.records import AccessEntry, PodIdentityAssociation


class AccessOperations(EksCore):
    """CreateAccessEntry, CreatePodIdentityAssociation and related operations."""

    # -- access entries ------------------------------------------------------------------------

    def create_access_entry(self, cluster_name: str, principal_arn: str, **given: Any) -> Any:
        """Create an access entry for a principal of the account."""
        self._check_has_entries(self.active_cluster(cluster_name))
        kind = given.get("type") or "STANDARD"
        known = [p.arn for p in (*self.iam.roles.values(), *self.iam.users.values())]
        reason = principals.why_not_principal(principal_arn, self.account_id, kind, known)
        reason = reason or principals.why_not_groups(given.get("kubernetes_groups") or (), kind)
        if reason:
            raise_invalid(reason, cluster_name)
        return self.add_access_entry(cluster_name, principal_arn, **given)

    def add_access_entry(self, cluster_name: str, principal_arn: str, **given: Any) -> AccessEntry:
        """Create an access entry even if the cluster is not active yet, for its creator."""
        entries = self.extras_of(cluster_name).access_entries
        if principal_arn in entries:
            raise_in_use(
                "The specified access entry resource is already in use on this cluster.",
                cluster_name,
            )
        kind, _, name = principal_arn.rsplit(":", 1)[-1].partition("/")
        entry = AccessEntry(
            cluster_name=cluster_name,
            principal_arn=principal_arn,
            access_entry_arn=self.arn(
                "access-entry", cluster_name, kind, self.account_id, name, str(random.uuid4())
            ),
            type=given.get("type") or "STANDARD",
            username=given.get("username") or _username(principal_arn, given.get("type")),
            kubernetes_groups=given.get("kubernetes_groups") or [],
            tags=given.get("tags") or {},
        )
        entries[principal_arn] = entry
        return entry

    def _check_has_entries(self, cluster: Any) -> None:
        """Check that the cluster has access entries. Raises InvalidRequestException."""
        if cluster.access_config["authenticationMode"] == "CONFIG_MAP":
            raise InvalidRequestException(
                clusterName=cluster.name,
                message="The cluster's authentication mode must be set to one of [API, "
                "API_AND_CONFIG_MAP] to perform this operation.",
            )

    def describe_access_entry(self, cluster_name: str, principal_arn: str) -> AccessEntry:
        """Return one entry."""
        entries = self.extras_of(cluster_name).access_entries
        return entries.get(principal_arn) or raise_not_found(
            f"The specified principalArn could not be found. {principal_arn}", cluster_name
        )

    def update_access_entry(
        self, cluster_name: str, principal_arn: str, **given: Any
    ) -> AccessEntry:
        """Update the groups or the user name."""
        entry = self.describe_access_entry(cluster_name, principal_arn)
        groups = given.get("kubernetes_groups") or ()
        if reason := principals.why_not_groups(groups, entry.type):
            raise_invalid(reason, cluster_name)
        entry.kubernetes_groups = given.get("kubernetes_groups", entry.kubernetes_groups)
        entry.username = given.get("username") or entry.username
        entry.modified_at = utcnow()
        return entry

    def delete_access_entry(self, cluster_name: str, principal_arn: str) -> dict[str, Any]:
        """Delete the access entry of a principal."""
        self.describe_access_entry(cluster_name, principal_arn)
        del self.extras[cluster_name].access_entries[principal_arn]
        return {}

    def list_access_entries(self, cluster_name: str, **_: Any) -> dict[str, Any]:
        """List the principals of all entries."""
        self._check_has_entries(self.cluster_named(cluster_name))
        return {"accessEntries": sorted(self.extras_of(cluster_name).access_entries)}

    def list_access_policies(self, **_: Any) -> dict[str, Any]:
        """List the access policies that EKS offers."""
        policies = [{"name": name, "arn": self._policy(name)} for name in facts.ACCESS_POLICIES]
        return {"accessPolicies": policies}

    def associate_access_policy(
        self, cluster_name: str, principal_arn: str, policy_arn: str, access_scope: dict[str, Any]
    ) -> dict[str, Any]:
        """Associate a policy with an entry."""
        entry = self.describe_access_entry(cluster_name, principal_arn)
        if entry.type.startswith("EC2_"):
            raise_invalid(
                f"Access policies cannot be associated with entries of type {entry.type}",
                cluster_name,
            )
        if policy_arn not in {self._policy(name) for name in facts.ACCESS_POLICIES}:
            raise_invalid("The policyArn parameter format is not valid", cluster_name)
        association = {
            "policyArn": policy_arn,
            "accessScope": {"namespaces": [], **access_scope},
            "associatedAt": utcnow(),
            "modifiedAt": utcnow(),
        }
        entry.policies[policy_arn] = association
        return {
            "clusterName": cluster_name,
            "principalArn": principal_arn,
            "associatedAccessPolicy": association,
        }

    def disassociate_access_policy(
        self, cluster_name: str, principal_arn: str, policy_arn: str
    ) -> dict[str, Any]:
        """Disassociate a policy from an entry."""
        entry = self.describe_access_entry(cluster_name, principal_arn)
        if entry.policies.pop(policy_arn, None) is None:
            raise_not_found(
                f"The specified policyArn could not be found. {policy_arn}", cluster_name
            )
        return {}

    def list_associated_access_policies(
        self, cluster_name: str, principal_arn: str, **_: Any
    ) -> dict[str, Any]:
        """List the policies of an entry."""
        entry = self.describe_access_entry(cluster_name, principal_arn)
        return {
            "clusterName": cluster_name,
            "principalArn": principal_arn,
            "associatedAccessPolicies": list(entry.policies.values()),
        }

    def _policy(self, name: str) -> str:
        return f"arn:{self.partition}:eks::aws:cluster-access-policy/{name}"

    # -- Pod Identity --------------------------------------------------------------------------

    def create_pod_identity_association(
        self, cluster_name: str, namespace: str, service_account: str, role_arn: str, **given: Any
    ) -> PodIdentityAssociation:
        """Associate a role with a service account."""
        self.active_cluster(cluster_name)
        self._check_pod_role(cluster_name, role_arn)
        associations = self.extras_of(cluster_name).associations
        for known in associations.values():
            if (known.namespace, known.service_account) == (namespace, service_account):
                raise_in_use(f"Association already exists: {known.association_id}", cluster_name)
        identifier = "a-" + random.get_random_string(17).lower()
        association = PodIdentityAssociation(
            cluster_name=cluster_name,
            namespace=namespace,
            service_account=service_account,
            role_arn=role_arn,
            association_id=identifier,
            association_arn=self.arn("podidentityassociation", cluster_name, identifier),
            tags=given.get("tags") or {},
            disable_session_tags=bool(given.get("disable_session_tags")),
            target_role_arn=given.get("target_role_arn"),
            policy=given.get("policy"),
        )
        associations[identifier] = association
        return association

    def _check_pod_role(self, cluster_name: str, role_arn: str) -> None:
        """Check that pods can assume the role; one of another account cannot be looked up."""
        if role_arn.split(":")[4:5] != [self.account_id]:
            return
        if principals.role_of(role_arn, self.iam.roles.values()) is None:
            raise_invalid("Role provided in the request does not exist.", cluster_name)
        if not self.trusts(role_arn, "pods.eks.amazonaws.com", *principals.POD_ACTIONS):
            raise_invalid(
                "Trust policy of the role provided in the request must allow "
                "pods.eks.amazonaws.com sts:AssumeRole and sts:TagSession.",
                cluster_name,
            )

    def describe_pod_identity_association(
        self, cluster_name: str, association_id: str
    ) -> PodIdentityAssociation:
        """Return one association."""
        associations = self.extras_of(cluster_name).associations
        return associations.get(association_id) or raise_not_found(
            f"The association {association_id} could not be found.", cluster_name
        )

    def update_pod_identity_association(
        self, cluster_name: str, association_id: str, **given: Any
    ) -> PodIdentityAssociation:
        """Update the role."""
        association = self.describe_pod_identity_association(cluster_name, association_id)
        if given.get("role_arn"):
            self._check_pod_role(cluster_name, given["role_arn"])
            association.role_arn = given["role_arn"]
        association.modified_at = utcnow()
        return association

    def delete_pod_identity_association(
        self, cluster_name: str, association_id: str
    ) -> PodIdentityAssociation:
        """Delete the association."""
        association = self.describe_pod_identity_association(cluster_name, association_id)
        del self.extras[cluster_name].associations[association_id]
        return association

    def list_pod_identity_associations(
        self,
        cluster_name: str,
        namespace: str | None = None,
        service_account: str | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """List all associations, or those of a namespace or service account."""
        found = [
            item
            for item in self.extras_of(cluster_name).associations.values()
            if namespace in (None, item.namespace)
            and service_account in (None, item.service_account)
        ]
        return {"associations": found}


def _username(principal_arn: str, kind: str | None) -> str:
    if kind == "EC2_LINUX":
        return "system:node:{{EC2PrivateDNSName}}"
    if ":role/" in principal_arn:
        assumed = principal_arn.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/")
        return f"{assumed}/{{{{SessionName}}}}"
    return principal_arn
