"""The IAM backend."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from moto.iam.exceptions import InvalidInput, NotFoundException
from moto.iam.models import AccessKey, IAMBackend, Role

from jarkkit.sandbox.account.iam import service_linked
from jarkkit.sandbox.account.iam.policies import Context, Document, RequiredPermission, evaluate


class LimitedKey(AccessKey):
    """A user's access key with policies of its own, which apply instead of the user's.

    AWS has no such key. It limits one deployment's calls while other deployments, with the user's
    first key, can still do everything, and all of them are the same principal for EKS.

    Attributes:
        holder: whose key it is; a holder has one.
        policies: each with its name.
    """

    def __init__(self, user_name: str, account_id: str, holder: str) -> None:
        super().__init__(user_name, prefix="AKIA", account_id=account_id)
        self.holder = holder
        self.policies: list[tuple[str, Document]] = []


class IamBackend(IAMBackend):
    """AWS IAM of one account."""

    def limit_key(
        self, user_name: str, holder: str, policies: Iterable[tuple[str, Document]]
    ) -> LimitedKey:
        """Give the holder's key exactly these policies; create the key if there is none."""
        user = self.get_user(user_name)
        keys = [key for key in user.access_keys if isinstance(key, LimitedKey)]
        key = next((key for key in keys if key.holder == holder), None)
        if key is None:
            key = LimitedKey(  # type: ignore[abstract]
                user_name, self.account_id, holder
            )
            user.access_keys.append(key)
            self.access_keys[key.physical_resource_id] = key
        key.policies = list(policies)
        return key

    def limited_key(self, key_id: str) -> LimitedKey | None:
        """Return the key with that id if it has policies of its own."""
        found = self.access_keys.get(key_id)
        return found if isinstance(found, LimitedKey) else None

    def create_role(
        self,
        role_name: str,
        assume_role_policy_document: str,
        path: str,
        permissions_boundary: str | None,
        *given: Any,
        **named: Any,
    ) -> Role:
        """Handle CreateRole. Raises moto's NotFoundException for an unknown boundary."""
        self._check_boundary(permissions_boundary)
        return super().create_role(
            role_name, assume_role_policy_document, path, permissions_boundary, *given, **named
        )

    def put_role_permissions_boundary(self, role_name: str, permissions_boundary: str) -> None:
        """Handle PutRolePermissionsBoundary. Raises moto's NotFoundException."""
        self.get_role(role_name)
        self._check_boundary(permissions_boundary)
        super().put_role_permissions_boundary(role_name, permissions_boundary)

    def _check_boundary(self, arn: str | None) -> None:
        """Raise NoSuchEntity, in AWS' words, if there is no such policy."""
        if arn and self.policy_arn_regex.match(arn) and arn not in self.managed_policies:
            raise NotFoundException(f"Scope ARN: {arn} does not exist or is not attachable.")

    def create_service_linked_role(self, service_name: str, description: str, suffix: str) -> Role:
        """Handle CreateServiceLinkedRole, with AWS' role names."""
        name = service_linked.NAMES.get(service_name)
        if name is None or suffix:
            return super().create_service_linked_role(service_name, description, suffix)
        if any(role.name == name for role in self.roles.values()):
            raise InvalidInput(
                f"Service role name {name} has been taken in this account, please try a different "
                "suffix."
            )
        trust = {
            "Effect": "Allow",
            "Action": ["sts:AssumeRole"],
            "Principal": {"Service": [service_name]},
        }
        return self.create_role(
            name,
            json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
            f"/aws-service-role/{service_name}/",
            permissions_boundary=None,
            description=description,
            tags=[],
            max_session_duration="3600",
            linked_service=service_name,
        )

    def documents_of(self, principal: str, key_id: str = "") -> list[tuple[str, Document]]:
        """Return the policies of a user or role, each with its name.

        Args:
            key_id: the caller's key; if it has policies of its own, they are its user's.

        Raises moto's NotFoundException.
        """
        kind, _, path = principal.split(":", 5)[5].partition("/")
        name = path.rpartition("/")[2]
        limited = self.limited_key(key_id)
        if limited is not None and (kind, name) == ("user", limited.user_name):
            return limited.policies
        if kind == "user":
            found: Any = self.get_user(name)
            owners = [found, *self.get_groups_for_user(name)]
        elif kind == "role":
            owners = [self.get_role(name)]
        else:
            raise InvalidInput(f"Invalid Entity Arn: {principal} does not clearly define entity.")
        return [policy for owner in owners for policy in _policies(owner)]

    def simulate(
        self,
        documents: Iterable[tuple[str, Document]],
        actions: Iterable[str],
        resources: Iterable[str],
        context: Context,
    ) -> list[dict[str, Any]]:
        """Simulate policies: return a result per action and resource.

        Serves SimulatePrincipalPolicy and SimulateCustomPolicy.
        """
        known = list(documents)
        return [
            _result(known, RequiredPermission(action, resource, context))
            for action in actions
            for resource in resources
        ]


def _policies(owner: Any) -> Iterable[tuple[str, Document]]:
    inline: Mapping[str, Any] = owner.policies
    for name, document in inline.items():
        yield name, json.loads(document) if isinstance(document, str) else document
    for policy in owner.managed_policies.values():
        newest = next(v for v in policy.versions if v.is_default)
        yield policy.name, json.loads(newest.document)


def _result(documents: Iterable[tuple[str, Document]], need: RequiredPermission) -> dict[str, Any]:
    verdict = evaluate([document for _, document in documents], need)
    sources = [
        name
        for name, document in documents
        if evaluate([document], need).decision == verdict.decision != "implicitDeny"
    ]
    return {
        "EvalActionName": need.action,
        "EvalResourceName": need.resource,
        "EvalDecision": verdict.decision,
        "MatchedStatements": [
            {"SourcePolicyId": name, "SourcePolicyType": "IAM Policy"} for name in sources
        ],
        "MissingContextValues": [],
    }
