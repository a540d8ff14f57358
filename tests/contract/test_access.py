"""Who may do what: the access policies of EKS and the Kubernetes roles behind them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes import client

from tests.contract.cluster import NamespaceFactory, Object, ScratchNamespace, rejected
from tests.contract.manifests import make_object
from tests.support.access import create_access_entry, token
from tests.support.clusters import RehearsalCluster
from tests.support.poll import wait_for

RBAC = "rbac.authorization.k8s.io"
# Verb, resource and group; a slash precedes a subresource, as in kubectl.
NAMESPACED = (
    "get pods",
    "get secrets",
    "create deployments.apps",
    "create pods/exec",
    f"create rolebindings.{RBAC}",
    "create resourcequotas",
    "create gadgets.example.org",
)
CLUSTER_WIDE = ("list nodes", "create namespaces", "list gadgets.example.org")
READ = {"get pods"}
WRITE = {*READ, "get secrets", "create deployments.apps", "create pods/exec"}
# https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html
PERMISSIONS = {
    "AmazonEKSClusterAdminPolicy": {*NAMESPACED, *CLUSTER_WIDE},
    "AmazonEKSAdminPolicy": {*WRITE, f"create rolebindings.{RBAC}"},
    "AmazonEKSAdminViewPolicy": {*READ, "get secrets", "list nodes", "list gadgets.example.org"},
    "AmazonEKSEditPolicy": WRITE,
    "AmazonEKSViewPolicy": READ,
}
ROLES = {
    "cluster-admin": "AmazonEKSClusterAdminPolicy",
    "admin": "AmazonEKSAdminPolicy",
    "edit": "AmazonEKSEditPolicy",
    "view": "AmazonEKSViewPolicy",
}
Ask = Callable[[Object], bool]


def attributes(asked: str, namespace: str) -> Object:
    """Return the attributes of an access review; without a namespace for cluster-wide resources."""
    verb, resource = asked.split()
    resource, _, group = resource.partition(".")
    resource, _, subresource = resource.partition("/")
    inside = {"namespace": namespace} if asked in NAMESPACED else {}
    return {
        "verb": verb,
        "group": group,
        "resource": resource,
        "subresource": subresource,
        **inside,
    }


def allowed(ask: Ask, namespace: str) -> set[str]:
    """Return the permissions in the namespace and in the whole cluster."""
    return {asked for asked in (*NAMESPACED, *CLUSTER_WIDE) if ask(attributes(asked, namespace))}


@pytest.fixture(scope="module")
def other_namespace(new_namespace: NamespaceFactory) -> Iterator[ScratchNamespace]:
    """A namespace to which no policy applies."""
    made = new_namespace()
    try:
        yield made
    finally:
        made.delete_all()


def token_client(namespace: ScratchNamespace, bearer: str) -> client.ApiClient:
    """Return a client that has only a token."""
    configuration = namespace.cluster.api.configuration
    made = client.Configuration()
    made.host, made.ssl_ca_cert = configuration.host, configuration.ssl_ca_cert
    made.api_key = {"BearerToken": f"Bearer {bearer}"}
    return client.ApiClient(made)


# -- access policies, with tokens --------------------------------------------------------------


@pytest.fixture
def assume_role_with_policy(
    sandbox_cluster: RehearsalCluster, namespace: ScratchNamespace
) -> Iterator[Callable[..., client.ApiClient]]:
    """Create a role with an access entry; return a client that has assumed the role."""
    clients: list[client.ApiClient] = []

    def assume(policy: str, namespaces: tuple[str, ...]) -> client.ApiClient:
        trust = json.dumps({"Version": "2012-10-17", "Statement": []})
        role = sandbox_cluster.client("iam").create_role(
            RoleName=namespace.name, AssumeRolePolicyDocument=trust
        )
        arn = role["Role"]["Arn"]
        create_access_entry(sandbox_cluster, arn, policy, namespaces)
        credentials = sandbox_cluster.client("sts").assume_role(RoleArn=arn, RoleSessionName="ann")[
            "Credentials"
        ]
        environ = {
            "AWS_ENDPOINT_URL": sandbox_cluster.running.endpoint,
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": credentials["SessionToken"],
        }
        clients.append(token_client(namespace, token(environ)))
        return clients[-1]

    yield assume
    for one in clients:
        one.close()


def user_of(api: client.ApiClient) -> Any:
    """Return the user that the API server sees as the caller."""
    reviews: Any = client.AuthenticationV1Api(api)
    return reviews.create_self_subject_review({}).status.user_info


def self_review(api: client.ApiClient) -> Ask:
    """Return a function that checks the caller's permissions."""

    def ask(asked: Object) -> bool:
        body = {"spec": {"resourceAttributes": asked}}
        reviews: Any = client.AuthorizationV1Api(api)
        review = reviews.create_self_subject_access_review(body)
        return bool(review.status.allowed)

    return ask


@pytest.mark.parametrize("policy", PERMISSIONS)
def test_a_cluster_policy_grants_its_permissions_everywhere(
    namespace: ScratchNamespace,
    assume_role_with_policy: Callable[..., client.ApiClient],
    policy: str,
) -> None:
    ask = self_review(assume_role_with_policy(policy, ()))
    wait_for(lambda: ask(attributes("get pods", namespace.name)))
    assert allowed(ask, namespace.name) == PERMISSIONS[policy]


@pytest.mark.parametrize("policy", PERMISSIONS)
def test_a_namespace_policy_grants_nothing_elsewhere(
    namespace: ScratchNamespace,
    other_namespace: ScratchNamespace,
    assume_role_with_policy: Callable[..., client.ApiClient],
    policy: str,
) -> None:
    ask = self_review(assume_role_with_policy(policy, (namespace.name,)))
    wait_for(lambda: ask(attributes("get pods", namespace.name)))
    assert allowed(ask, namespace.name) == PERMISSIONS[policy] & {*NAMESPACED}
    assert allowed(ask, other_namespace.name) == set()


def test_the_caller_has_the_session_name_and_the_groups_of_the_entry(
    sandbox_cluster: RehearsalCluster,
    assume_role_with_policy: Callable[..., client.ApiClient],
    namespace: ScratchNamespace,
) -> None:
    api = assume_role_with_policy("AmazonEKSViewPolicy", ())
    who = user_of(api)
    account = sandbox_cluster.client("sts").get_caller_identity()["Account"]
    assert who.username == f"arn:aws:sts::{account}:assumed-role/{namespace.name}/ann"
    assert {"ours", "system:authenticated"} <= {*who.groups}


# -- the roles behind them, by impersonation ---------------------------------------------------


def bind(namespace: ScratchNamespace, role: str, kind: str) -> Ask:
    """Bind the role to the test's own group; return a function that checks its permissions."""
    reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}
    subject = {"apiGroup": RBAC, "kind": "Group", "name": namespace.name}
    namespace.create(
        make_object(kind, namespace.name, f"{RBAC}/v1", roleRef=reference, subjects=[subject])
    )

    def ask(asked: Object) -> bool:
        spec = {"user": "ann", "groups": [namespace.name], "resourceAttributes": asked}
        api: Any = client.AuthorizationV1Api(namespace.cluster.api)
        return bool(api.create_subject_access_review({"spec": spec}).status.allowed)

    wait_for(lambda: ask(attributes("get pods", namespace.name)))
    return ask


def built_in_only(found: set[str]) -> set[str]:
    """Return the permissions without custom resources, which charts may have added to the roles."""
    return {asked for asked in found if "example.org" not in asked}


@pytest.mark.parametrize("role", ROLES)
def test_a_cluster_role_binding_grants_the_same_as_its_policy(
    namespace: ScratchNamespace, role: str
) -> None:
    ask = bind(namespace, role, "ClusterRoleBinding")
    assert built_in_only(allowed(ask, namespace.name)) == built_in_only(PERMISSIONS[ROLES[role]])


@pytest.mark.parametrize("role", ROLES)
def test_a_role_binding_grants_nothing_in_other_namespaces(
    namespace: ScratchNamespace, other_namespace: ScratchNamespace, role: str
) -> None:
    ask = bind(namespace, role, "RoleBinding")
    expected = built_in_only(PERMISSIONS[ROLES[role]]) & {*NAMESPACED}
    assert built_in_only(allowed(ask, namespace.name)) == expected
    assert allowed(ask, other_namespace.name) == set()


def test_kubectl_with_impersonation_has_only_the_users_permissions(
    namespace: ScratchNamespace,
) -> None:
    bind(namespace, "view", "RoleBinding")
    ann = ("--as=ann", f"--as-group={namespace.name}")
    assert namespace.kubectl("auth", "can-i", "get", "pods", *ann).strip() == "yes"
    output = namespace.kubectl("create", "configmap", "it", *ann, check=False)
    assert 'User "ann" cannot create resource "configmaps"' in output


def test_a_service_account_token_authenticates_the_service_account(
    namespace: ScratchNamespace,
) -> None:
    with token_client(namespace, namespace.kubectl("create", "token", "default").strip()) as api:
        who = user_of(api)
        assert who.username == f"system:serviceaccount:{namespace.name}:default"
        with rejected(403, 'cannot list resource "pods"'):
            client.CoreV1Api(api).list_namespaced_pod(namespace.name)


def test_an_aggregated_role_does_not_widen_a_policy(
    namespace: ScratchNamespace, assume_role_with_policy: Callable[..., client.ApiClient]
) -> None:
    """On EKS the rules of a policy are fixed; a role that aggregates to `edit` adds nothing."""
    rule = {"apiGroups": ["example.org"], "resources": ["*"], "verbs": ["*"]}
    wider = make_object("ClusterRole", namespace.name, f"{RBAC}/v1", rules=[rule])
    wider["metadata"]["labels"] = {
        f"{RBAC}/aggregate-to-{role}": "true" for role in ("view", "edit", "admin")
    }
    namespace.create(wider)
    by_role = bind(namespace, "view", "RoleBinding")
    wait_for(lambda: by_role(attributes("create gadgets.example.org", namespace.name)))
    ask = self_review(assume_role_with_policy("AmazonEKSEditPolicy", (namespace.name,)))
    wait_for(lambda: ask(attributes("get pods", namespace.name)))
    assert not ask(attributes("create gadgets.example.org", namespace.name))
