"""Access entries and their policies, and EKS Pod Identity: who may do what."""

from __future__ import annotations

from typing import Any

from moto.core.utils import utcnow
from moto.moto_api._internal import mock_random as random

from jarkkit.sandbox.account.eks import facts
from jarkkit.sandbox.account.eks.core import EksCore, in_use, invalid, missing
from jarkkit.sandbox.account.eks.parts import AccessEntry, PodIdentityAssociation


class Access(EksCore):
    """CreateAccessEntry, CreatePodIdentityAssociation and their kin."""

    # -- access entries ------------------------------------------------------------------------

    def create_access_entry(self, cluster_name: str, principal_arn: str, **given: Any) -> Any:
        """Let a principal in."""
        self.active_cluster(cluster_name)
        return self.add_access_entry(cluster_name, principal_arn, **given)

    def add_access_entry(self, cluster_name: str, principal_arn: str, **given: Any) -> AccessEntry:
        """The same for a cluster that is not active yet: its creator."""
        entries = self.extras_of(cluster_name).access_entries
        if principal_arn in entries:
            in_use(
                "The specified access entry resource is already in use on this cluster.",
                cluster_name,
            )
        kind, _, name = principal_arn.rsplit(":", 1)[-1].partition("/")
        if not principal_arn.startswith("arn:") or kind not in ("role", "user"):
            invalid("The principalArn parameter format is not valid", cluster_name)
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

    def describe_access_entry(self, cluster_name: str, principal_arn: str) -> AccessEntry:
        """One entry."""
        entries = self.extras_of(cluster_name).access_entries
        return entries.get(principal_arn) or missing(
            f"The specified principalArn could not be found. {principal_arn}", cluster_name
        )

    def update_access_entry(
        self, cluster_name: str, principal_arn: str, **given: Any
    ) -> AccessEntry:
        """Change groups or user name."""
        entry = self.describe_access_entry(cluster_name, principal_arn)
        entry.kubernetes_groups = given.get("kubernetes_groups", entry.kubernetes_groups)
        entry.username = given.get("username") or entry.username
        entry.modified_at = utcnow()
        return entry

    def delete_access_entry(self, cluster_name: str, principal_arn: str) -> dict[str, Any]:
        """Shut a principal out."""
        self.describe_access_entry(cluster_name, principal_arn)
        del self.extras[cluster_name].access_entries[principal_arn]
        return {}

    def list_access_entries(self, cluster_name: str, **_: Any) -> dict[str, Any]:
        """Principals of all entries."""
        return {"accessEntries": sorted(self.extras_of(cluster_name).access_entries)}

    def list_access_policies(self, **_: Any) -> dict[str, Any]:
        """The policies that EKS has."""
        policies = [{"name": name, "arn": self._policy(name)} for name in facts.ACCESS_POLICIES]
        return {"accessPolicies": policies}

    def associate_access_policy(
        self, cluster_name: str, principal_arn: str, policy_arn: str, access_scope: dict[str, Any]
    ) -> dict[str, Any]:
        """Give an entry a policy."""
        entry = self.describe_access_entry(cluster_name, principal_arn)
        if policy_arn not in {self._policy(name) for name in facts.ACCESS_POLICIES}:
            invalid("The policyArn parameter format is not valid", cluster_name)
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
        """Take a policy away."""
        entry = self.describe_access_entry(cluster_name, principal_arn)
        if entry.policies.pop(policy_arn, None) is None:
            missing(f"The specified policyArn could not be found. {policy_arn}", cluster_name)
        return {}

    def list_associated_access_policies(
        self, cluster_name: str, principal_arn: str, **_: Any
    ) -> dict[str, Any]:
        """The policies of an entry."""
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
        """Give a service account a role."""
        self.active_cluster(cluster_name)
        associations = self.extras_of(cluster_name).associations
        for known in associations.values():
            if (known.namespace, known.service_account) == (namespace, service_account):
                in_use(f"Association already exists: {known.association_id}", cluster_name)
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

    def describe_pod_identity_association(
        self, cluster_name: str, association_id: str
    ) -> PodIdentityAssociation:
        """One association."""
        associations = self.extras_of(cluster_name).associations
        return associations.get(association_id) or missing(
            f"The association {association_id} could not be found.", cluster_name
        )

    def update_pod_identity_association(
        self, cluster_name: str, association_id: str, **given: Any
    ) -> PodIdentityAssociation:
        """Change the role."""
        association = self.describe_pod_identity_association(cluster_name, association_id)
        association.role_arn = given.get("role_arn") or association.role_arn
        association.modified_at = utcnow()
        return association

    def delete_pod_identity_association(
        self, cluster_name: str, association_id: str
    ) -> PodIdentityAssociation:
        """Take the role away."""
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
        """All associations, or those of a namespace or service account."""
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
