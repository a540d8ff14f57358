"""Access entries: which principals may call the API server, and their access policies as RBAC.

EKS evaluates access policies in an authorizer of its own. Here a policy adds a principal to a group
of the sandbox, and bindings give that group a role with the rules that Kubernetes ships for it.
"""

from __future__ import annotations

import fnmatch
import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

from jarkkit.sandbox.account_backends import Backends
from jarkkit.sandbox.controllers import tokens
from jarkkit.sandbox.controllers.base_controller import Controller
from jarkkit.sandbox.kubernetes.api import Object
from jarkkit.sandbox.kubernetes.http_server import HttpRequest
from jarkkit.sandbox.kubernetes.informer import Informer

_LABEL = "sandbox.jarkkit.io/access-policy"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_API = "rbac.authorization.k8s.io"
_VIEW_ALL = "sandbox:admin-view"
# https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html
_ROLES = {
    "AmazonEKSClusterAdminPolicy": "cluster-admin",
    "AmazonEKSAdminPolicy": "sandbox:admin",
    "AmazonEKSAdminViewPolicy": _VIEW_ALL,
    "AmazonEKSEditPolicy": "sandbox:edit",
    "AmazonEKSViewPolicy": "sandbox:view",
}
# A policy's rules are fixed: rules that charts aggregate to Kubernetes' own roles are not in it. So
# these roles have only the rules with which Kubernetes itself fills view, edit and admin.
_FIXED = {
    "AmazonEKSAdminPolicy": ("view", "edit", "admin"),
    "AmazonEKSEditPolicy": ("view", "edit"),
    "AmazonEKSViewPolicy": ("view",),
}
_CLUSTER_SCOPE = "cluster"


def groups_of(entry: Any) -> list[str]:
    """Return the groups of an access entry's principal."""
    return [*entry.kubernetes_groups, *(_group(*grant) for grant in _grants([entry]))]


def _grants(entries: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Yield policy and scope: the cluster, or a namespace's name, which may have wildcards."""
    for entry in entries:
        for arn, association in entry.policies.items():
            access_scope = association["accessScope"]
            scopes = (
                [_CLUSTER_SCOPE]
                if access_scope["type"] == "cluster"
                else access_scope["namespaces"]
            )
            for scope in scopes:
                name = arn.rsplit("/", 1)[-1]
                if name in _ROLES:
                    yield name, scope if access_scope["type"] == "cluster" else f"namespace:{scope}"


def _group(policy: str, scope: str) -> str:
    return f"sandbox:{policy}:{scope}"


def bindings(entries: Iterable[Any], namespaces: Iterable[str]) -> list[Object]:
    """Return the RBAC bindings that implement the policies of these entries."""
    namespace_names, found = list(namespaces), []
    for policy, scope in sorted(set(_grants(entries))):
        pattern = scope.removeprefix("namespace:")
        if scope == _CLUSTER_SCOPE:
            found.append(_binding(policy, scope, None))
        for namespace in (
            fnmatch.filter(namespace_names, pattern) if scope != _CLUSTER_SCOPE else ()
        ):
            found.append(_binding(policy, scope, namespace))
    return found


def _binding(policy: str, scope: str, namespace: str | None) -> Object:
    group = _group(policy, scope)
    safe = scope.replace("*", "any").replace(":", "-")
    inside = {"namespace": namespace} if namespace else {}
    return {
        "apiVersion": f"{_API}/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": f"sandbox:{policy}:{safe}", "labels": {_LABEL: policy}, **inside},
        "roleRef": {"apiGroup": _API, "kind": "ClusterRole", "name": _ROLES[policy]},
        "subjects": [{"apiGroup": _API, "kind": "Group", "name": group}],
    }


class AccessEntryController(Controller):
    """Reconciles the bindings of access policies, and answers the API server's token reviews."""

    name = "access entries"
    follows_account = True

    def watched(self) -> tuple[Informer, ...]:
        """Return the informer of namespaces: a policy may match one that is created later."""
        return (self.cluster.informer("/api/v1/namespaces"),)

    def reconcile(self) -> None:
        """Create the bindings of the access entries, and delete the others."""
        with self.cluster.read_account() as aws:
            entries = list(_entries(aws, self.cluster.name))
        namespaces = [
            n["metadata"]["name"] for n in self.cluster.informer("/api/v1/namespaces").all()
        ]
        desired = {_key(binding): binding for binding in bindings(entries, namespaces)}
        if desired.keys() == self._made:
            return
        api = self.cluster.api
        for manifest in (_view_all(), *map(self._fixed, _FIXED), *desired.values()):
            api.apply(manifest)
        for key in self._there() - desired.keys():
            api.delete(key)
        self._made = set(desired)

    _made: set[str] | None = None

    def _fixed(self, policy: str) -> Object:
        parts = [f"{_RBAC}/clusterroles/system:aggregate-to-{part}" for part in _FIXED[policy]]
        return _role(policy, [rule for p in parts for rule in self.cluster.api.get(p)["rules"]])

    def _there(self) -> set[str]:
        query = {"labelSelector": _LABEL}
        return {
            f"{_RBAC}/{kind}/{obj['metadata']['name']}"
            if kind == "clusterrolebindings"
            else f"{_RBAC}/namespaces/{obj['metadata']['namespace']}/{kind}/"
            f"{obj['metadata']['name']}"
            for kind in ("clusterrolebindings", "rolebindings")
            for obj in self.cluster.api.list(f"{_RBAC}/{kind}", **query)
        }

    # -- token reviews -------------------------------------------------------------------------

    def review_token(self, request: HttpRequest) -> tuple[int, Any]:
        """Answer the API server's TokenReview with the token's user."""
        token = json.loads(request.body)["spec"].get("token", "")
        return 200, tokens.token_review(token, self._judge)

    def _judge(self, token: str) -> dict[str, Any]:
        signed = tokens.parse_token(token, time.time())
        with self.cluster.read_account() as aws:
            who, secret, session = _owner(aws, signed.key_id)
            entries = list(_entries(aws, self.cluster.name))
        tokens.verify_signature(signed, secret, session, self.cluster.name)
        for entry in entries:
            if who.is_principal(entry.principal_arn) and entry.type == "STANDARD":
                return tokens.user_info(who, entry.username, groups_of(entry))
        raise tokens.TokenError(f"{who.arn} has no access entry")


def _entries(aws: Backends, cluster: str) -> Iterator[Any]:
    extras = aws.eks.extras.get(cluster)
    yield from extras.access_entries.values() if extras else ()


def _owner(aws: Backends, key_id: str) -> tuple[tokens.TokenIdentity, str, str | None]:
    """Return an access key's owner, its secret and its session token. Raises TokenError."""
    session = aws.sts.get_assumed_role_from_access_key(key_id)
    if session is not None:
        who = tokens.TokenIdentity(session.arn, session.account_id, session.user_id, key_id)
        return who, session.secret_access_key, session.session_token
    user = aws.iam.get_user_from_access_key_id(key_id)
    if user is None:
        raise tokens.TokenError("unknown access key")
    (key,) = (key for key in user.access_keys if key.access_key_id == key_id)
    return (
        tokens.TokenIdentity(user.arn, user.account_id, user.id, key_id),
        key.secret_access_key,
        None,
    )


def _key(obj: Object) -> str:
    meta, kind = obj["metadata"], f"{obj['kind'].lower()}s"
    inside = f"/namespaces/{meta['namespace']}" if "namespace" in meta else ""
    return f"{_RBAC}{inside}/{kind}/{meta['name']}"


def _view_all() -> Object:
    """Return the role of AmazonEKSAdminViewPolicy, which reads everything, secrets included."""
    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}
    return _role("AmazonEKSAdminViewPolicy", [everything])


def _role(policy: str, rules: list[Object]) -> Object:
    return {
        "apiVersion": f"{_API}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": _ROLES[policy], "labels": {_LABEL: policy}},
        "rules": rules,
    }
