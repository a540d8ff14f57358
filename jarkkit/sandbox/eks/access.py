"""Access entries: who may in, and what their access policies become in the cluster's RBAC.

On EKS an authorizer of its own judges access policies. Here a policy puts a principal into a group
of ours, and bindings give that group a role with the rules which Kubernetes ships for the purpose.
"""

from __future__ import annotations

import fnmatch
import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

from jarkkit.sandbox.backends import Backends
from jarkkit.sandbox.cluster.answering import Question
from jarkkit.sandbox.cluster.api import Object
from jarkkit.sandbox.cluster.informer import Informer
from jarkkit.sandbox.eks import tokens
from jarkkit.sandbox.eks.controller import Controller

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
# A policy's rules are fixed: what charts add to Kubernetes' own roles is not in it. These roles
# have the rules with which Kubernetes itself fills its own.
_FIXED = {
    "AmazonEKSAdminPolicy": ("view", "edit", "admin"),
    "AmazonEKSEditPolicy": ("view", "edit"),
    "AmazonEKSViewPolicy": ("view",),
}
_EVERYWHERE = "cluster"


def groups_of(entry: Any) -> list[str]:
    """The groups that an access entry puts its principal into."""
    return [*entry.kubernetes_groups, *(_group(*grant) for grant in _grants([entry]))]


def _grants(entries: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Policy and where it holds: everywhere, or a namespace's name, which may have wildcards."""
    for entry in entries:
        for arn, association in entry.policies.items():
            scope = association["accessScope"]
            places = [_EVERYWHERE] if scope["type"] == "cluster" else scope["namespaces"]
            for place in places:
                name = arn.rsplit("/", 1)[-1]
                if name in _ROLES:
                    yield name, place if scope["type"] == "cluster" else f"namespace:{place}"


def _group(policy: str, place: str) -> str:
    return f"sandbox:{policy}:{place}"


def bindings(entries: Iterable[Any], namespaces: Iterable[str]) -> list[Object]:
    """The bindings that make the policies of these entries true."""
    known, found = list(namespaces), []
    for policy, place in sorted(set(_grants(entries))):
        pattern = place.removeprefix("namespace:")
        if place == _EVERYWHERE:
            found.append(_binding(policy, place, None))
        for namespace in fnmatch.filter(known, pattern) if place != _EVERYWHERE else ():
            found.append(_binding(policy, place, namespace))
    return found


def _binding(policy: str, place: str, namespace: str | None) -> Object:
    group = _group(policy, place)
    safe = place.replace("*", "any").replace(":", "-")
    inside = {"namespace": namespace} if namespace else {}
    return {
        "apiVersion": f"{_API}/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": f"sandbox:{policy}:{safe}", "labels": {_LABEL: policy}, **inside},
        "roleRef": {"apiGroup": _API, "kind": "ClusterRole", "name": _ROLES[policy]},
        "subjects": [{"apiGroup": _API, "kind": "Group", "name": group}],
    }


class AccessEntries(Controller):
    """Keeps the bindings of access policies, and answers the API server's token reviews."""

    name = "access entries"
    follows_account = True

    def watched(self) -> tuple[Informer, ...]:
        """Policies may be for namespaces that come later."""
        return (self.cluster.informer("/api/v1/namespaces"),)

    def reconcile(self) -> None:
        """Bindings are as the entries say."""
        with self.cluster.read() as aws:
            entries = list(_entries(aws, self.cluster.name))
        known = [n["metadata"]["name"] for n in self.cluster.informer("/api/v1/namespaces").all()]
        wanted = {_key(thing): thing for thing in bindings(entries, known)}
        if wanted.keys() == self._made:
            return
        api = self.cluster.api
        for thing in (_view_all(), *map(self._fixed, _FIXED), *wanted.values()):
            api.apply(thing)
        for key in self._there() - wanted.keys():
            api.delete(key)
        self._made = set(wanted)

    _made: set[str] | None = None

    def _fixed(self, policy: str) -> Object:
        parts = [f"{_RBAC}/clusterroles/system:aggregate-to-{part}" for part in _FIXED[policy]]
        return _role(policy, [rule for p in parts for rule in self.cluster.api.get(p)["rules"]])

    def _there(self) -> set[str]:
        query = {"labelSelector": _LABEL}
        return {
            f"{_RBAC}/{kind}/{thing['metadata']['name']}"
            if kind == "clusterrolebindings"
            else f"{_RBAC}/namespaces/{thing['metadata']['namespace']}/{kind}/"
            f"{thing['metadata']['name']}"
            for kind in ("clusterrolebindings", "rolebindings")
            for thing in self.cluster.api.list(f"{_RBAC}/{kind}", **query)
        }

    # -- token reviews -------------------------------------------------------------------------

    def answer(self, question: Question) -> tuple[int, Any]:
        """The API server's question who a token is."""
        token = json.loads(question.body)["spec"].get("token", "")
        return 200, tokens.review(token, self._judge)

    def _judge(self, token: str) -> dict[str, Any]:
        signed = tokens.read(token, time.time())
        with self.cluster.read() as aws:
            who, secret, session = _owner(aws, signed.key_id)
            entries = list(_entries(aws, self.cluster.name))
        tokens.check(signed, secret, session, self.cluster.name)
        for entry in entries:
            if who.is_principal(entry.principal_arn) and entry.type == "STANDARD":
                return tokens.user_info(who, entry.username, groups_of(entry))
        raise tokens.TokenError(f"{who.arn} has no access entry")


def _entries(aws: Backends, cluster: str) -> Iterator[Any]:
    extras = aws.eks.extras.get(cluster)
    yield from extras.access_entries.values() if extras else ()


def _owner(aws: Backends, key_id: str) -> tuple[tokens.Identity, str, str | None]:
    """Whose access key that is, its secret, and its session token. Raises TokenError."""
    session = aws.sts.get_assumed_role_from_access_key(key_id)
    if session is not None:
        who = tokens.Identity(session.arn, session.account_id, session.user_id, key_id)
        return who, session.secret_access_key, session.session_token
    user = aws.iam.get_user_from_access_key_id(key_id)
    if user is None:
        raise tokens.TokenError("the access key is not known")
    (key,) = (key for key in user.access_keys if key.access_key_id == key_id)
    return tokens.Identity(user.arn, user.account_id, user.id, key_id), key.secret_access_key, None


def _key(thing: Object) -> str:
    meta, kind = thing["metadata"], f"{thing['kind'].lower()}s"
    inside = f"/namespaces/{meta['namespace']}" if "namespace" in meta else ""
    return f"{_RBAC}{inside}/{kind}/{meta['name']}"


def _view_all() -> Object:
    """AmazonEKSAdminViewPolicy sees everything, secrets included."""
    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}
    return _role("AmazonEKSAdminViewPolicy", [everything])


def _role(policy: str, rules: list[Object]) -> Object:
    return {
        "apiVersion": f"{_API}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": _ROLES[policy], "labels": {_LABEL: policy}},
        "rules": rules,
    }
