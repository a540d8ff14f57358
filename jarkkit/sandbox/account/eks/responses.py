"""Request handlers of EKS. Each operation that moto lacks is one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

from moto.core.responses import ActionResult
from moto.core.utils import camelcase_to_underscores
from moto.eks.models import eks_backends
from moto.eks.responses import EKSResponse

from jarkkit.sandbox.account.eks.models import EksBackend

# The middle of these paths is an ARN, which itself contains slashes. Once decoded, a router treats
# them as path separators.
_POLICIES = re.compile(
    r"/clusters/(?P<name>[^/]+)/access-entries/(?P<principalArn>.+)/access-policies"
    r"(?:/(?P<policyArn>.+))?$"
)
_ON_POLICIES = {
    "POST": "AssociateAccessPolicy",
    "GET": "ListAssociatedAccessPolicies",
    "DELETE": "DisassociateAccessPolicy",
}


def _operation(name: str, key: str = "") -> Callable[[EksResponse], ActionResult]:
    """Build a handler that calls the backend's method of that name with the request's members.

    The handler returns the method's value under `key`, or the value itself.
    """

    def handler(self: EksResponse) -> ActionResult:
        value = getattr(self.eks_backend, name)(**self.arguments())
        return ActionResult({key: value} if key else value)

    handler.__name__ = name
    return handler


class EksResponse(EKSResponse):
    """moto's handlers, and those that moto lacks."""

    @property
    def eks_backend(self) -> EksBackend:
        """Backend of the caller's account and Region, after its due work has run."""
        backend = cast(EksBackend, eks_backends[self.current_account][self.region])
        backend.later.catch_up(backend)
        backend.upgrade_expired_clusters()
        return backend

    def arguments(self) -> dict[str, Any]:
        """Return the request's members by their names in the API's model, in snake case."""
        self.parse_parameters(self.normalized_request)
        parsed: dict[str, Any] = dict(
            self.__dict__.pop("params")
        )  # moto's own handlers expect no such attribute
        return {camelcase_to_underscores(name): value for name, value in parsed.items()}

    def _get_action_from_method_and_request_uri(self, request: Any) -> str:
        found = _POLICIES.search(request.path)
        if found:
            self.uri_match = {name: value for name, value in found.groupdict().items() if value}
            return _ON_POLICIES[request.method]
        return super()._get_action_from_method_and_request_uri(request)

    def create_cluster(self) -> ActionResult:
        """Handle CreateCluster: the creator is an administrator unless the request disables it."""
        creator = self._creator()
        cluster = self.eks_backend.open_cluster(creator=creator, **self.arguments())
        return ActionResult({"cluster": cluster})

    def _creator(self) -> str:
        from moto.sts.models import sts_backends

        sts = sts_backends[self.current_account]["global"]
        _, arn, _ = sts.get_caller_identity(self.get_access_key(), self.region)
        return str(arn)

    describe_cluster = _operation("describe_cluster", "cluster")
    update_cluster_config = _operation("change_cluster", "update")
    update_cluster_version = _operation("update_cluster_version", "update")
    describe_cluster_versions = _operation("describe_cluster_versions")
    describe_update = _operation("describe_update", "update")
    list_updates = _operation("list_updates")

    create_nodegroup = _operation("open_nodegroup", "nodegroup")
    update_nodegroup_config = _operation("change_nodegroup", "update")
    update_nodegroup_version = _operation("update_nodegroup_version", "update")

    create_addon = _operation("create_addon", "addon")
    describe_addon = _operation("describe_addon", "addon")
    update_addon = _operation("update_addon", "update")
    delete_addon = _operation("delete_addon", "addon")
    list_addons = _operation("list_addons")
    describe_addon_versions = _operation("describe_addon_versions")
    describe_addon_configuration = _operation("describe_addon_configuration")

    create_access_entry = _operation("create_access_entry", "accessEntry")
    describe_access_entry = _operation("describe_access_entry", "accessEntry")
    update_access_entry = _operation("update_access_entry", "accessEntry")
    delete_access_entry = _operation("delete_access_entry")
    list_access_entries = _operation("list_access_entries")
    list_access_policies = _operation("list_access_policies")
    associate_access_policy = _operation("associate_access_policy")
    disassociate_access_policy = _operation("disassociate_access_policy")
    list_associated_access_policies = _operation("list_associated_access_policies")

    create_pod_identity_association = _operation("create_pod_identity_association", "association")
    describe_pod_identity_association = _operation(
        "describe_pod_identity_association", "association"
    )
    update_pod_identity_association = _operation("update_pod_identity_association", "association")
    delete_pod_identity_association = _operation("delete_pod_identity_association", "association")
    list_pod_identity_associations = _operation("list_pod_identity_associations")
