"""The API server: fields and their owners, schemas, selectors, watches, garbage, webhooks."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, watch
from kubernetes.client import ApiException

from tests.contract.cluster import HOLD, Cluster, Object, Space, refused, until
from tests.contract.conftest import Spaces
from tests.contract.manifests import deployment, pod, thing

# -- server-side apply -------------------------------------------------------------------------


def apply(space: Space, manager: str, colour: str, *, force: bool = False) -> Object:
    """One field of a ConfigMap as this manager wants it."""
    resource = space.cluster.kind("ConfigMap")
    wanted = thing("ConfigMap", "paint", data={"colour": colour})
    made: Object = resource.server_side_apply(
        wanted, namespace=space.name, field_manager=manager, force_conflicts=force
    ).to_dict()
    return made


def test_a_field_of_another_manager_is_a_conflict_that_names_it(space: Space) -> None:
    apply(space, "gardener", "green")
    with refused(409, 'conflict with "gardener"', ".data.colour"):
        apply(space, "painter", "red")


def test_the_same_value_is_no_conflict_and_both_own_the_field(space: Space) -> None:
    apply(space, "gardener", "green")
    made = apply(space, "painter", "green")
    managers = {field["manager"] for field in made["metadata"]["managedFields"]}
    assert managers == {"gardener", "painter"}


def test_force_takes_the_field_over(space: Space) -> None:
    apply(space, "gardener", "green")
    assert apply(space, "painter", "red", force=True)["data"] == {"colour": "red"}
    with refused(409, 'conflict with "painter"'):
        apply(space, "gardener", "green")


def test_kubectl_tells_of_the_conflict(space: Space) -> None:
    apply(space, "gardener", "green")
    wanted = json.dumps(thing("ConfigMap", "paint", data={"colour": "red"}))
    said = space.kubectl("apply", "--server-side", "-f", "-", given=wanted, check=False)
    assert 'Apply failed with 1 conflict: conflict with "gardener": .data.colour' in said


def test_an_update_of_an_old_version_is_a_conflict(space: Space) -> None:
    old = space.create(thing("ConfigMap", "paint", data={"colour": "green"})).now
    apply(space, "painter", "red", force=True)
    with refused(409, "the object has been modified"):
        space.cluster.kind("ConfigMap").replace(old, namespace=space.name)


# -- custom resources --------------------------------------------------------------------------


class Gadgets:
    """A kind with a schema: sizes are numbers, and `least` is not more than `most`."""

    def __init__(self, space: Space) -> None:
        self.group = f"{space.name}.jarkkit.io"
        self.space = space
        number = {"type": "integer", "minimum": 0}
        rule = {"rule": "self.least <= self.most", "message": "least must not exceed most"}
        spec = {
            "type": "object",
            "required": ["most"],
            "properties": {"least": {**number, "default": 1}, "most": number},
            "x-kubernetes-validations": [rule],
        }
        free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {
            "name": "v1",
            "served": True,
            "storage": True,
            "subresources": {"status": {}},
            "schema": {
                "openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": free}}
            },
        }
        names = {"kind": "Gadget", "plural": "gadgets", "singular": "gadget"}
        definition = thing(
            "CustomResourceDefinition",
            f"gadgets.{self.group}",
            "apiextensions.k8s.io/v1",
            spec={
                "group": self.group,
                "scope": "Namespaced",
                "names": names,
                "versions": [version],
            },
        )
        made = space.create(definition)
        until(lambda: made.condition("Established")["status"] == "True")
        self._api = client.CustomObjectsApi(space.cluster.api)
        self.at = {
            "group": self.group,
            "version": "v1",
            "namespace": space.name,
            "plural": "gadgets",
        }
        until(lambda: self._api.list_namespaced_custom_object(**self.at))

    def create(self, validation: str = "Strict", **spec: Any) -> Object:
        manifest = thing("Gadget", "one", f"{self.group}/v1", spec=spec)
        made: Object = self._api.create_namespaced_custom_object(
            **self.at, body=manifest, field_validation=validation
        )
        return made


@pytest.fixture(scope="module")
def module_space(spaces: Spaces) -> Iterator[Space]:
    made = spaces()
    try:
        yield made
    finally:
        made.tidy()


@pytest.fixture(scope="module")
def kind_of_gadgets(module_space: Space) -> Gadgets:
    return Gadgets(module_space)


@pytest.fixture
def gadgets(kind_of_gadgets: Gadgets) -> Iterator[Gadgets]:
    yield kind_of_gadgets
    client.CustomObjectsApi(
        kind_of_gadgets.space.cluster.api
    ).delete_collection_namespaced_custom_object(**kind_of_gadgets.at)


def test_a_custom_resource_gets_the_defaults_of_its_schema(gadgets: Gadgets) -> None:
    assert gadgets.create(most=3)["spec"] == {"least": 1, "most": 3}


def test_a_wrong_type_is_refused_with_its_place(gadgets: Gadgets) -> None:
    with refused(422, "spec.most: Invalid value", "integer"):
        gadgets.create(most="three")


def test_a_missing_field_is_refused(gadgets: Gadgets) -> None:
    with refused(422, "spec.most: Required value"):
        gadgets.create(least=1)


def test_an_unknown_field_is_refused_by_strict_validation(gadgets: Gadgets) -> None:
    with refused(400, 'strict decoding error: unknown field "spec.colour"'):
        gadgets.create(most=3, colour="red")


def test_an_unknown_field_is_dropped_otherwise(gadgets: Gadgets) -> None:
    assert "colour" not in gadgets.create("Ignore", most=3, colour="red")["spec"]


def test_a_cel_rule_refuses_with_its_own_message(gadgets: Gadgets) -> None:
    with refused(422, "least must not exceed most"):
        gadgets.create(least=4, most=3)


def test_the_status_is_a_place_apart(gadgets: Gadgets) -> None:
    made = gadgets.create(most=3)
    api, at = client.CustomObjectsApi(gadgets.space.cluster.api), {**gadgets.at, "name": "one"}
    change = {**made, "spec": {"most": 9}, "status": {"phase": "fine"}}
    changed = api.replace_namespaced_custom_object_status(**at, body=change)
    assert (changed["spec"]["most"], changed["status"]) == (3, {"phase": "fine"})
    assert changed["metadata"]["generation"] == 1


# -- selectors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ("tier=front", {"a"}),
        ("tier!=front", {"b", "c"}),
        ("tier in (front, back)", {"a", "b"}),
        ("tier notin (front),old", {"c"}),
        ("!tier", {"c"}),
    ],
)
def test_labels_select(module_space: Space, selector: str, chosen: set[str]) -> None:
    if not module_space.find("ConfigMap", "c"):
        for name, labels in {
            "a": {"tier": "front"},
            "b": {"tier": "back"},
            "c": {"old": ""},
        }.items():
            labelled = thing("ConfigMap", name)
            labelled["metadata"]["labels"] = {"set": "letters", **labels}
            module_space.create(labelled)
    found = module_space.names("ConfigMap", label_selector=f"set=letters,{selector}")
    assert found == chosen


def test_fields_select(space: Space) -> None:
    space.create(pod("here"))
    space.create(pod("nowhere", nodeSelector={"there-is": "no-such-node"}))
    until(lambda: space.names("Pod", field_selector="spec.nodeName!=") == {"here"})
    assert space.names("Pod", field_selector="status.phase=Pending,metadata.name!=here") == {
        "nowhere"
    }


def test_a_field_that_cannot_select_is_refused(space: Space) -> None:
    with refused(400, "field label not supported"):
        space.all("Pod", field_selector="spec.priority=0")


# -- watches -----------------------------------------------------------------------------------


def watched(space: Space, version: str, **more: Any) -> Iterator[Object]:
    """Events of the namespace's ConfigMaps since that version."""
    api = client.CoreV1Api(space.cluster.api)
    yield from watch.Watch().stream(
        api.list_namespaced_config_map, space.name, resource_version=version, **more
    )


def version_now(space: Space) -> str:
    found: str = space.cluster.kind("ConfigMap").get(namespace=space.name).metadata.resourceVersion
    return found


def test_a_watch_goes_on_where_a_list_or_another_watch_ended(space: Space) -> None:
    version = version_now(space)
    things = [space.create(thing("ConfigMap", name)) for name in ("one", "two")]
    things[0].delete()
    seen = list(itertools.islice(watched(space, version, timeout_seconds=30), 3))
    names = [(event["type"], event["object"].metadata.name) for event in seen]
    assert [found for found in names if found[1] != "kube-root-ca.crt"] == [
        ("ADDED", "one"),
        ("ADDED", "two"),
        ("DELETED", "one"),
    ]
    later = watched(space, seen[-2]["object"].metadata.resource_version, timeout_seconds=30)
    assert next(later)["type"] == "DELETED"


def test_a_watch_that_sees_nothing_is_told_how_far_it_is(space: Space) -> None:
    version = version_now(space)
    made = space.create(thing("ConfigMap", "unseen")).now["metadata"]["resourceVersion"]
    nothing = {"field_selector": "metadata.name=another", "allow_watch_bookmarks": True}
    # A bookmark comes two seconds before the end, if not sooner.
    (bookmark, *_) = watched(space, version, timeout_seconds=15, **nothing)
    assert bookmark["type"] == "BOOKMARK"
    assert int(bookmark["raw_object"]["metadata"]["resourceVersion"]) >= int(made)


def test_a_version_that_is_too_old_is_gone(kind_of_gadgets: Gadgets) -> None:
    # Of a kind that is new the API server knows no old versions, on a new cluster either.
    api = client.CustomObjectsApi(kind_of_gadgets.space.cluster.api)
    old = {"resource_version": "1", "timeout_seconds": 10}
    with pytest.raises(ApiException) as caught:
        next(watch.Watch().stream(api.list_namespaced_custom_object, **kind_of_gadgets.at, **old))
    assert caught.value.status == 410
    assert "too old resource version" in caught.value.reason


# -- garbage collection ------------------------------------------------------------------------


def owned(space: Space, *, held: bool = False) -> tuple[Any, Any]:
    """An owner and what belongs to it, perhaps held by a finalizer."""
    owner = space.create(thing("ConfigMap", "owner"))
    dependent = thing("ConfigMap", "dependent")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.uid}
    dependent["metadata"]["ownerReferences"] = [{**reference, "blockOwnerDeletion": True}]
    dependent["metadata"]["finalizers"] = [HOLD] if held else []
    return owner, space.create(dependent)


def test_what_belongs_to_a_deleted_owner_goes_after_it(space: Space) -> None:
    owner, dependent = owned(space, held=True)
    owner.delete("Background")
    assert owner.is_gone()
    until(lambda: "deletionTimestamp" in dependent.now["metadata"])
    dependent.patch({"metadata": {"finalizers": []}})
    until(dependent.is_gone)


def test_a_foreground_deletion_waits_for_what_belongs_to_the_owner(space: Space) -> None:
    owner, dependent = owned(space, held=True)
    owner.delete("Foreground")
    until(lambda: "deletionTimestamp" in dependent.now["metadata"])
    assert owner.now["metadata"]["finalizers"] == ["foregroundDeletion"]
    dependent.patch({"metadata": {"finalizers": []}})
    until(owner.is_gone)


def test_orphans_stay(space: Space) -> None:
    owner, dependent = owned(space)
    owner.delete("Orphan")
    until(owner.is_gone)
    assert not dependent.now["metadata"].get("ownerReferences")


def test_an_owner_that_never_was_takes_its_dependent_with_it(space: Space) -> None:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "never", "uid": space.name}
    dependent = thing("ConfigMap", "dependent")
    dependent["metadata"]["ownerReferences"] = [reference]
    until(space.create(dependent).is_gone)


# -- webhooks ----------------------------------------------------------------------------------


def webhook(space: Space, policy: str) -> None:
    """One that is asked about new ConfigMaps of this namespace, and that nobody answers for."""
    space.create(
        thing("Service", "empty", spec={"ports": [{"port": 443}], "selector": {"app": "nobody"}})
    )
    asked = {"service": {"name": "empty", "namespace": space.name, "path": "/"}}
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["configmaps"],
    }
    hook = {
        "name": "nobody.jarkkit.io",
        "clientConfig": asked,
        "rules": [rule],
        "failurePolicy": policy,
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space.name}},
    }
    kind, version = "ValidatingWebhookConfiguration", "admissionregistration.k8s.io/v1"
    space.create(thing(kind, space.name, version, webhooks=[hook]))


def test_a_webhook_without_endpoints_blocks_when_it_must_not_fail(space: Space) -> None:
    webhook(space, "Fail")

    def blocks() -> bool:
        try:
            space.would_create(thing("ConfigMap", "probe"))
        except ApiException:
            return True
        return False

    until(blocks)
    with refused(500, 'failed calling webhook "nobody.jarkkit.io"', "no endpoints available"):
        space.would_create(thing("ConfigMap", "it"))


def test_a_webhook_without_endpoints_does_not_matter_when_it_may_fail(space: Space) -> None:
    webhook(space, "Ignore")
    space.create(thing("ConfigMap", "it"))


# -- namespaces --------------------------------------------------------------------------------


def test_a_namespace_goes_with_all_that_is_in_it(cluster: Cluster, spaces: Spaces) -> None:
    space = spaces()
    space.create(deployment("web", 2))
    until(lambda: len(space.all("Pod")) == 2)
    cluster.kubectl("delete", "namespace", space.name, "--timeout=120s")
    assert not cluster.find("Namespace", space.name)


def test_a_namespace_waits_for_a_finalizer_and_takes_nothing_new(spaces: Spaces) -> None:
    space = spaces()
    held = thing("ConfigMap", "held")
    held["metadata"]["finalizers"] = [HOLD]
    kept = space.create(held)
    space.cluster.kubectl("delete", "namespace", space.name, "--wait=false")
    with refused(403, "because it is being terminated"):
        space.create(thing("ConfigMap", "late"))
    namespace = lambda: space.cluster.find("Namespace", space.name) or {}  # noqa: E731
    until(lambda: HOLD in str(namespace()["status"].get("conditions")))
    kept.patch({"metadata": {"finalizers": []}})  # that it goes then is waited for at the end
