"""The API server: fields and their owners, schemas, selectors, watches, garbage, webhooks."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, watch
from kubernetes.client import ApiException

from tests.contract.cluster import (
    HOLD,
    Cluster,
    NamespaceFactory,
    Object,
    ScratchNamespace,
    rejected,
)
from tests.contract.manifests import deployment, make_object, pod
from tests.support.poll import wait_for

# -- server-side apply -------------------------------------------------------------------------


def apply(namespace: ScratchNamespace, manager: str, colour: str, *, force: bool = False) -> Object:
    """Apply one field of a ConfigMap as this manager."""
    resource = namespace.cluster.kind("ConfigMap")
    manifest = make_object("ConfigMap", "paint", data={"colour": colour})
    made: Object = resource.server_side_apply(
        manifest, namespace=namespace.name, field_manager=manager, force_conflicts=force
    ).to_dict()
    return made


def test_a_field_of_another_manager_is_a_conflict_that_names_it(
    namespace: ScratchNamespace,
) -> None:
    apply(namespace, "gardener", "green")
    with rejected(409, 'conflict with "gardener"', ".data.colour"):
        apply(namespace, "painter", "red")


def test_the_same_value_is_no_conflict_and_both_own_the_field(namespace: ScratchNamespace) -> None:
    apply(namespace, "gardener", "green")
    made = apply(namespace, "painter", "green")
    managers = {field["manager"] for field in made["metadata"]["managedFields"]}
    assert managers == {"gardener", "painter"}


def test_force_takes_over_the_field(namespace: ScratchNamespace) -> None:
    apply(namespace, "gardener", "green")
    assert apply(namespace, "painter", "red", force=True)["data"] == {"colour": "red"}
    with rejected(409, 'conflict with "painter"'):
        apply(namespace, "gardener", "green")


def test_kubectl_reports_the_conflict(namespace: ScratchNamespace) -> None:
    apply(namespace, "gardener", "green")
    manifest = json.dumps(make_object("ConfigMap", "paint", data={"colour": "red"}))
    output = namespace.kubectl("apply", "--server-side", "-f", "-", stdin=manifest, check=False)
    assert 'Apply failed with 1 conflict: conflict with "gardener": .data.colour' in output


def test_an_update_of_an_old_version_is_a_conflict(namespace: ScratchNamespace) -> None:
    old = namespace.create(make_object("ConfigMap", "paint", data={"colour": "green"})).current
    apply(namespace, "painter", "red", force=True)
    with rejected(409, "the object has been modified"):
        namespace.cluster.kind("ConfigMap").replace(old, namespace=namespace.name)


# -- custom resources --------------------------------------------------------------------------


class Gadgets:
    """A CRD with a schema: `least` and `most` are numbers, and `least` does not exceed `most`."""

    def __init__(self, namespace: ScratchNamespace) -> None:
        self.group = f"{namespace.name}.jarkkit.io"
        self.namespace = namespace
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
        crd = make_object(
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
        made = namespace.create(crd)
        wait_for(lambda: made.condition("Established")["status"] == "True")
        self.api: Any = client.CustomObjectsApi(namespace.cluster.api)
        self.list_args = {
            "group": self.group,
            "version": "v1",
            "namespace": namespace.name,
            "plural": "gadgets",
        }
        wait_for(lambda: self.api.list_namespaced_custom_object(**self.list_args))

    def create(self, validation: str = "Strict", **spec: Any) -> Object:
        manifest = make_object("Gadget", "one", f"{self.group}/v1", spec=spec)
        made: Object = self.api.create_namespaced_custom_object(
            **self.list_args, body=manifest, field_validation=validation
        )
        return made


@pytest.fixture(scope="module")
def module_namespace(new_namespace: NamespaceFactory) -> Iterator[ScratchNamespace]:
    made = new_namespace()
    try:
        yield made
    finally:
        made.delete_all()


@pytest.fixture(scope="module")
def gadget_kind(module_namespace: ScratchNamespace) -> Gadgets:
    return Gadgets(module_namespace)


@pytest.fixture
def gadgets(gadget_kind: Gadgets) -> Iterator[Gadgets]:
    yield gadget_kind
    gadget_kind.api.delete_collection_namespaced_custom_object(**gadget_kind.list_args)


def test_a_custom_resource_gets_the_defaults_of_its_schema(gadgets: Gadgets) -> None:
    assert gadgets.create(most=3)["spec"] == {"least": 1, "most": 3}


def test_a_wrong_type_is_rejected_with_its_path(gadgets: Gadgets) -> None:
    with rejected(422, "spec.most: Invalid value", "integer"):
        gadgets.create(most="three")


def test_a_missing_field_is_rejected(gadgets: Gadgets) -> None:
    with rejected(422, "spec.most: Required value"):
        gadgets.create(least=1)


def test_an_unknown_field_is_rejected_by_strict_validation(gadgets: Gadgets) -> None:
    with rejected(400, 'strict decoding error: unknown field "spec.colour"'):
        gadgets.create(most=3, colour="red")


def test_an_unknown_field_is_dropped_without_strict_validation(gadgets: Gadgets) -> None:
    assert "colour" not in gadgets.create("Ignore", most=3, colour="red")["spec"]


def test_a_cel_rule_rejects_with_its_own_message(gadgets: Gadgets) -> None:
    with rejected(422, "least must not exceed most"):
        gadgets.create(least=4, most=3)


def test_an_update_of_the_status_leaves_the_spec_alone(gadgets: Gadgets) -> None:
    made = gadgets.create(most=3)
    list_args = {**gadgets.list_args, "name": "one"}
    change = {**made, "spec": {"most": 9}, "status": {"phase": "fine"}}
    changed = gadgets.api.replace_namespaced_custom_object_status(**list_args, body=change)
    assert (changed["spec"]["most"], changed["status"]) == (3, {"phase": "fine"})
    assert changed["metadata"]["generation"] == 1


# -- selectors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("tier=front", {"a"}),
        ("tier!=front", {"b", "c"}),
        ("tier in (front, back)", {"a", "b"}),
        ("tier notin (front),old", {"c"}),
        ("!tier", {"c"}),
    ],
)
def test_label_selectors_select_objects(
    module_namespace: ScratchNamespace, selector: str, expected: set[str]
) -> None:
    if not module_namespace.find("ConfigMap", "c"):
        for name, labels in {
            "a": {"tier": "front"},
            "b": {"tier": "back"},
            "c": {"old": ""},
        }.items():
            labelled = make_object("ConfigMap", name)
            labelled["metadata"]["labels"] = {"set": "letters", **labels}
            module_namespace.create(labelled)
    found = module_namespace.names("ConfigMap", label_selector=f"set=letters,{selector}")
    assert found == expected


def test_field_selectors_select_objects(namespace: ScratchNamespace) -> None:
    namespace.create(pod("here"))
    namespace.create(pod("nowhere", nodeSelector={"there-is": "no-such-node"}))
    wait_for(lambda: namespace.names("Pod", field_selector="spec.nodeName!=") == {"here"})
    assert namespace.names("Pod", field_selector="status.phase=Pending,metadata.name!=here") == {
        "nowhere"
    }


def test_an_unsupported_field_selector_is_rejected(namespace: ScratchNamespace) -> None:
    with rejected(400, "field label not supported"):
        namespace.all("Pod", field_selector="spec.priority=0")


# -- watches -----------------------------------------------------------------------------------


def watch_config_maps(namespace: ScratchNamespace, version: str, **more: Any) -> Iterator[Object]:
    """Yield the events of the namespace's ConfigMaps since a resource version."""
    api = client.CoreV1Api(namespace.cluster.api)
    yield from watch.Watch().stream(
        api.list_namespaced_config_map, namespace.name, resource_version=version, **more
    )


def current_version(namespace: ScratchNamespace) -> str:
    found: str = (
        namespace.cluster.kind("ConfigMap").get(namespace=namespace.name).metadata.resourceVersion
    )
    return found


def test_a_watch_continues_from_a_list_or_another_watch(namespace: ScratchNamespace) -> None:
    version = current_version(namespace)
    created = [namespace.create(make_object("ConfigMap", name)) for name in ("one", "two")]
    created[0].delete()
    seen = list(itertools.islice(watch_config_maps(namespace, version, timeout_seconds=30), 3))
    names = [(event["type"], event["object"].metadata.name) for event in seen]
    assert [found for found in names if found[1] != "kube-root-ca.crt"] == [
        ("ADDED", "one"),
        ("ADDED", "two"),
        ("DELETED", "one"),
    ]
    later = watch_config_maps(
        namespace, seen[-2]["object"].metadata.resource_version, timeout_seconds=30
    )
    assert next(later)["type"] == "DELETED"


def test_a_watch_without_matches_gets_bookmarks(namespace: ScratchNamespace) -> None:
    version = current_version(namespace)
    made = namespace.create(make_object("ConfigMap", "unseen")).current["metadata"][
        "resourceVersion"
    ]
    nothing = {"field_selector": "metadata.name=another", "allow_watch_bookmarks": True}
    # A bookmark comes two seconds before the end at the latest.
    (bookmark, *_) = watch_config_maps(namespace, version, timeout_seconds=15, **nothing)
    assert bookmark["type"] == "BOOKMARK"
    assert int(bookmark["raw_object"]["metadata"]["resourceVersion"]) >= int(made)


def test_a_watch_from_a_version_that_is_too_old_is_rejected(gadget_kind: Gadgets) -> None:
    # The API server has no old versions of a new kind, not even in a new cluster.
    api = client.CustomObjectsApi(gadget_kind.namespace.cluster.api)
    old = {"resource_version": "1", "timeout_seconds": 10}
    with pytest.raises(ApiException) as caught:
        next(
            watch.Watch().stream(api.list_namespaced_custom_object, **gadget_kind.list_args, **old)
        )
    assert caught.value.status == 410
    assert "too old resource version" in caught.value.reason


# -- garbage collection ------------------------------------------------------------------------


def owner_and_dependent(namespace: ScratchNamespace, *, held: bool = False) -> tuple[Any, Any]:
    """Create an owner and its dependent, optionally held by a finalizer."""
    owner = namespace.create(make_object("ConfigMap", "owner"))
    dependent = make_object("ConfigMap", "dependent")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.uid}
    dependent["metadata"]["ownerReferences"] = [{**reference, "blockOwnerDeletion": True}]
    dependent["metadata"]["finalizers"] = [HOLD] if held else []
    return owner, namespace.create(dependent)


def test_background_deletion_deletes_dependents_after_the_owner(
    namespace: ScratchNamespace,
) -> None:
    owner, dependent = owner_and_dependent(namespace, held=True)
    owner.delete("Background")
    assert owner.is_gone()
    wait_for(lambda: "deletionTimestamp" in dependent.current["metadata"])
    dependent.patch({"metadata": {"finalizers": []}})
    wait_for(dependent.is_gone)


def test_foreground_deletion_waits_for_dependents(namespace: ScratchNamespace) -> None:
    owner, dependent = owner_and_dependent(namespace, held=True)
    owner.delete("Foreground")
    wait_for(lambda: "deletionTimestamp" in dependent.current["metadata"])
    assert owner.current["metadata"]["finalizers"] == ["foregroundDeletion"]
    dependent.patch({"metadata": {"finalizers": []}})
    wait_for(owner.is_gone)


def test_orphan_deletion_keeps_dependents(namespace: ScratchNamespace) -> None:
    owner, dependent = owner_and_dependent(namespace)
    owner.delete("Orphan")
    wait_for(owner.is_gone)
    assert not dependent.current["metadata"].get("ownerReferences")


def test_a_dependent_of_an_owner_that_never_existed_is_deleted(namespace: ScratchNamespace) -> None:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "never", "uid": namespace.name}
    dependent = make_object("ConfigMap", "dependent")
    dependent["metadata"]["ownerReferences"] = [reference]
    wait_for(namespace.create(dependent).is_gone)


# -- webhooks ----------------------------------------------------------------------------------


def create_webhook(namespace: ScratchNamespace, policy: str) -> None:
    """Create a webhook for the namespace's new ConfigMaps, without a pod that answers."""
    namespace.create(
        make_object(
            "Service", "empty", spec={"ports": [{"port": 443}], "selector": {"app": "missing"}}
        )
    )
    asked = {"service": {"name": "empty", "namespace": namespace.name, "path": "/"}}
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["configmaps"],
    }
    hook = {
        "name": "unanswered.jarkkit.io",
        "clientConfig": asked,
        "rules": [rule],
        "failurePolicy": policy,
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}},
    }
    kind, version = "ValidatingWebhookConfiguration", "admissionregistration.k8s.io/v1"
    namespace.create(make_object(kind, namespace.name, version, webhooks=[hook]))


def test_a_webhook_without_endpoints_blocks_with_failure_policy_fail(
    namespace: ScratchNamespace,
) -> None:
    create_webhook(namespace, "Fail")

    def is_blocked() -> bool:
        try:
            namespace.dry_run(make_object("ConfigMap", "probe"))
        except ApiException:
            return True
        return False

    wait_for(is_blocked)
    with rejected(500, 'failed calling webhook "unanswered.jarkkit.io"', "no endpoints available"):
        namespace.dry_run(make_object("ConfigMap", "it"))


def test_a_webhook_without_endpoints_is_skipped_with_failure_policy_ignore(
    namespace: ScratchNamespace,
) -> None:
    create_webhook(namespace, "Ignore")
    namespace.create(make_object("ConfigMap", "it"))


# -- namespaces --------------------------------------------------------------------------------


def test_a_namespace_is_deleted_with_its_objects(
    cluster: Cluster, new_namespace: NamespaceFactory
) -> None:
    namespace = new_namespace()
    namespace.create(deployment("web", 2))
    wait_for(lambda: len(namespace.all("Pod")) == 2)
    cluster.kubectl("delete", "namespace", namespace.name, "--timeout=120s")
    assert not cluster.find("Namespace", namespace.name)


def test_a_terminating_namespace_waits_for_finalizers_and_rejects_new_objects(
    new_namespace: NamespaceFactory,
) -> None:
    namespace = new_namespace()
    held = make_object("ConfigMap", "held")
    held["metadata"]["finalizers"] = [HOLD]
    kept = namespace.create(held)
    namespace.cluster.kubectl("delete", "namespace", namespace.name, "--wait=false")
    with rejected(403, "because it is being terminated"):
        namespace.create(make_object("ConfigMap", "late"))
    read_namespace = lambda: namespace.cluster.find("Namespace", namespace.name) or {}  # noqa: E731
    wait_for(lambda: HOLD in str(read_namespace()["status"].get("conditions")))
    kept.patch({"metadata": {"finalizers": []}})  # the fixture waits for the deletion
