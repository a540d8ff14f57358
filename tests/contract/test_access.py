"""Who may do what: the access policies of EKS, and the roles of Kubernetes that are behind them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from kubernetes import client

from tests.clusters.conftest import World
from tests.clusters.test_access import let_in, token
from tests.contract.cluster import Object, Space, refused, until
from tests.contract.conftest import Spaces
from tests.contract.manifests import thing

RBAC = "rbac.authorization.k8s.io"
# Verb, resource and group; a slash precedes a part of a resource, as kubectl writes it.
INSIDE = (
    "get pods",
    "get secrets",
    "create deployments.apps",
    "create pods/exec",
    f"create rolebindings.{RBAC}",
    "create resourcequotas",
    "create gadgets.example.org",
)
WHOLE = ("list nodes", "create namespaces", "list gadgets.example.org")
READ = {"get pods"}
WRITE = {*READ, "get secrets", "create deployments.apps", "create pods/exec"}
# https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html
MAY = {
    "AmazonEKSClusterAdminPolicy": {*INSIDE, *WHOLE},
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
    """The question as the API wants it; about the whole cluster unless the resource is inside."""
    verb, resource = asked.split()
    resource, _, group = resource.partition(".")
    resource, _, subresource = resource.partition("/")
    inside = {"namespace": namespace} if asked in INSIDE else {}
    return {
        "verb": verb,
        "group": group,
        "resource": resource,
        "subresource": subresource,
        **inside,
    }


def allowed(ask: Ask, namespace: str) -> set[str]:
    """All that may be done in the namespace and beyond."""
    return {asked for asked in (*INSIDE, *WHOLE) if ask(attributes(asked, namespace))}


@pytest.fixture(scope="module")
def other(spaces: Spaces) -> Iterator[Space]:
    """A namespace that no policy is about."""
    made = spaces()
    try:
        yield made
    finally:
        made.tidy()


def bearing(space: Space, bearer: str) -> client.ApiClient:
    """A client with nothing but a token."""
    known = space.cluster.api.configuration
    made = client.Configuration()
    made.host, made.ssl_ca_cert = known.host, known.ssl_ca_cert
    made.api_key = {"BearerToken": f"Bearer {bearer}"}
    return client.ApiClient(made)


# -- access policies, with tokens --------------------------------------------------------------


@pytest.fixture
def let_a_role_in(world: World, space: Space) -> Iterator[Callable[..., client.ApiClient]]:
    """Makes a role, an access entry for it, and the client of somebody who has taken the role."""
    clients: list[client.ApiClient] = []

    def enter(policy: str, namespaces: tuple[str, ...]) -> client.ApiClient:
        trust = json.dumps({"Version": "2012-10-17", "Statement": []})
        role = world.client("iam").create_role(RoleName=space.name, AssumeRolePolicyDocument=trust)
        arn = role["Role"]["Arn"]
        let_in(world, arn, policy, namespaces)
        taken = world.client("sts").assume_role(RoleArn=arn, RoleSessionName="ann")["Credentials"]
        environ = {
            "AWS_ENDPOINT_URL": world.running.endpoint,
            "AWS_ACCESS_KEY_ID": taken["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": taken["SecretAccessKey"],
            "AWS_SESSION_TOKEN": taken["SessionToken"],
        }
        clients.append(bearing(space, token(environ)))
        return clients[-1]

    yield enter
    for one in clients:
        one.close()


def self_review(api: client.ApiClient) -> Ask:
    """Asks what the caller may do."""

    def ask(asked: Object) -> bool:
        body = {"spec": {"resourceAttributes": asked}}
        review = client.AuthorizationV1Api(api).create_self_subject_access_review(body)
        return bool(review.status.allowed)

    return ask


@pytest.mark.parametrize("policy", MAY)
def test_a_policy_for_the_cluster_holds_everywhere(
    space: Space, let_a_role_in: Callable[..., client.ApiClient], policy: str
) -> None:
    ask = self_review(let_a_role_in(policy, ()))
    until(lambda: ask(attributes("get pods", space.name)))
    assert allowed(ask, space.name) == MAY[policy]


@pytest.mark.parametrize("policy", MAY)
def test_a_policy_for_a_namespace_ends_there(
    space: Space, other: Space, let_a_role_in: Callable[..., client.ApiClient], policy: str
) -> None:
    ask = self_review(let_a_role_in(policy, (space.name,)))
    until(lambda: ask(attributes("get pods", space.name)))
    assert allowed(ask, space.name) == MAY[policy] & {*INSIDE}
    assert allowed(ask, other.name) == set()


def test_the_caller_is_known_by_the_session_and_the_groups_of_the_entry(
    world: World, let_a_role_in: Callable[..., client.ApiClient], space: Space
) -> None:
    api = let_a_role_in("AmazonEKSViewPolicy", ())
    who = client.AuthenticationV1Api(api).create_self_subject_review({}).status.user_info
    account = world.client("sts").get_caller_identity()["Account"]
    assert who.username == f"arn:aws:sts::{account}:assumed-role/{space.name}/ann"
    assert {"ours", "system:authenticated"} <= {*who.groups}


# -- the roles behind them, by impersonation ---------------------------------------------------


def bind(space: Space, role: str, kind: str) -> Ask:
    """Give the role to a group of the test's own; asks what somebody of that group may do."""
    reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}
    subject = {"apiGroup": RBAC, "kind": "Group", "name": space.name}
    space.create(thing(kind, space.name, f"{RBAC}/v1", roleRef=reference, subjects=[subject]))

    def ask(asked: Object) -> bool:
        spec = {"user": "ann", "groups": [space.name], "resourceAttributes": asked}
        api = client.AuthorizationV1Api(space.cluster.api)
        return bool(api.create_subject_access_review({"spec": spec}).status.allowed)

    until(lambda: ask(attributes("get pods", space.name)))
    return ask


def of_kubernetes(found: set[str]) -> set[str]:
    """Without custom resources, which charts may have added to the roles."""
    return {asked for asked in found if "example.org" not in asked}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_for_the_cluster_is_like_its_policy(space: Space, role: str) -> None:
    ask = bind(space, role, "ClusterRoleBinding")
    assert of_kubernetes(allowed(ask, space.name)) == of_kubernetes(MAY[ROLES[role]])


@pytest.mark.parametrize("role", ROLES)
def test_a_role_for_a_namespace_ends_there(space: Space, other: Space, role: str) -> None:
    ask = bind(space, role, "RoleBinding")
    expected = of_kubernetes(MAY[ROLES[role]]) & {*INSIDE}
    assert of_kubernetes(allowed(ask, space.name)) == expected
    assert allowed(ask, other.name) == set()


def test_kubectl_can_do_as_somebody_else_no_more_than_they_may(space: Space) -> None:
    bind(space, "view", "RoleBinding")
    ann = ("--as=ann", f"--as-group={space.name}")
    assert space.kubectl("auth", "can-i", "get", "pods", *ann).strip() == "yes"
    said = space.kubectl("create", "configmap", "it", *ann, check=False)
    assert 'User "ann" cannot create resource "configmaps"' in said


def test_a_token_of_a_service_account_is_the_service_account(space: Space) -> None:
    with bearing(space, space.kubectl("create", "token", "default").strip()) as api:
        who = client.AuthenticationV1Api(api).create_self_subject_review({}).status.user_info
        assert who.username == f"system:serviceaccount:{space.name}:default"
        with refused(403, 'cannot list resource "pods"'):
            client.CoreV1Api(api).list_namespaced_pod(space.name)


def test_charts_do_not_widen_a_policy(
    space: Space, let_a_role_in: Callable[..., client.ApiClient]
) -> None:
    """On EKS the rules of a policy are fixed; a role that aggregates to `edit` adds nothing."""
    rule = {"apiGroups": ["example.org"], "resources": ["*"], "verbs": ["*"]}
    wider = thing("ClusterRole", space.name, f"{RBAC}/v1", rules=[rule])
    wider["metadata"]["labels"] = {
        f"{RBAC}/aggregate-to-{role}": "true" for role in ("view", "edit", "admin")
    }
    space.create(wider)
    by_role = bind(space, "view", "RoleBinding")
    until(lambda: by_role(attributes("create gadgets.example.org", space.name)))
    ask = self_review(let_a_role_in("AmazonEKSEditPolicy", (space.name,)))
    until(lambda: ask(attributes("get pods", space.name)))
    assert not ask(attributes("create gadgets.example.org", space.name))
