"""A cluster as its users see it: the official client, kubectl and a kubeconfig, without jarkkit."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client import ApiException
from kubernetes.dynamic import DynamicClient

from tests.support.clusters import RehearsalCluster

Object = dict[str, Any]

USER_KUBECONFIG = os.environ.get("JARKKIT_TEST_KUBECONFIG", "")
# Marks the objects of a test run, so that you can find what a killed run left behind.
LABEL = "jarkkit.io/contract"
# A finalizer that only a test removes.
HOLD = "jarkkit.io/hold"
# Annotations with this prefix simulate in the sandbox what the command does on a real node.
SANDBOX_PREFIX = "sandbox.jarkkit.io"
GPU = "nvidia.com/gpu"


@contextlib.contextmanager
def _ignore_missing() -> Iterator[None]:
    """Ignore that an object to delete does not exist."""
    try:
        yield
    except ApiException as error:
        if error.status != 404:
            raise


@contextlib.contextmanager
def rejected(status: int, *texts: str) -> Iterator[None]:
    """Check that the API server rejects a call with this status and with these texts."""
    with pytest.raises(ApiException) as caught:
        yield
    message = message_of(caught.value)
    assert caught.value.status == status, message
    for text in texts:
        assert text in message


def message_of(error: ApiException) -> str:
    """Return the API server's message."""
    with contextlib.suppress(TypeError, ValueError, KeyError):
        return str(json.loads(error.body or "")["message"])
    return str(error.body or error.reason)


@dataclass(frozen=True)
class Cluster:
    """The cluster in which the tests run.

    Attributes:
        sandbox: the sandbox's cluster; None for the cluster of your kubeconfig.
        cache: the folder of kubectl's cache.
    """

    kubeconfig: Path
    api: client.ApiClient
    dynamic: DynamicClient
    cache: Path
    sandbox: RehearsalCluster | None

    def kubectl(self, *args: str, check: bool = True, stdin: str = "") -> str:
        """Run kubectl as a user does; return its stdout and stderr."""
        done = subprocess.run(self.command(*args), capture_output=True, text=True, input=stdin)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def command(self, *args: str) -> list[str]:
        """Return kubectl's command line."""
        return [
            "kubectl",
            "--kubeconfig",
            str(self.kubeconfig),
            f"--cache-dir={self.cache}",
            *args,
        ]

    def kind(self, name: str, api_version: str = "v1") -> Any:
        """Return the API resource of a kind."""
        return self.dynamic.resources.get(api_version=api_version, kind=name)

    def all(self, kind: str, api_version: str = "v1", **query: Any) -> list[Object]:
        """Return the objects of a kind, in one namespace or in all."""
        found: list[Object] = self.kind(kind, api_version).get(**query).to_dict()["items"]
        return found

    def find(self, kind: str, name: str, api_version: str = "v1", **query: Any) -> Object | None:
        """Return one object; None when it does not exist."""
        try:
            found: Object = self.kind(kind, api_version).get(name=name, **query).to_dict()
        except ApiException as error:
            if error.status == 404:
                return None
            raise
        return found


class LiveObject:
    """An object in the cluster that a test has created."""

    def __init__(self, cluster: Cluster, made: Object) -> None:
        self._resource = cluster.kind(made["kind"], made["apiVersion"])
        self.name: str = made["metadata"]["name"]
        self.uid: str = made["metadata"]["uid"]
        self._target = {"name": self.name, "namespace": made["metadata"].get("namespace")}

    @property
    def current(self) -> Object:
        """The object's current state. Raises ApiException."""
        found: Object = self._resource.get(**self._target).to_dict()
        return found

    @property
    def status(self) -> Object:
        """The object's current status."""
        found: Object = self.current.get("status") or {}
        return found

    def condition(self, kind: str) -> Object:
        """Return a condition; one with an empty status when there is none."""
        found = self.status.get("conditions") or ()
        return next((c for c in found if c["type"] == kind), {"status": "", "reason": ""})

    def patch(self, change: Object) -> None:
        """Apply a merge patch."""
        merge = "application/merge-patch+json"
        self._resource.patch(change, content_type=merge, **self._target)

    def delete(self, policy: str = "Background") -> None:
        """Request the object's deletion; it may be gone already."""
        with _ignore_missing():
            self._resource.delete(body={"propagationPolicy": policy}, **self._target)

    def is_gone(self) -> bool:
        """Return whether the object is gone, or another one has its name."""
        try:
            return bool(self.current["metadata"]["uid"] != self.uid)
        except ApiException as error:
            if error.status != 404:
                raise
            return True


class ScratchNamespace:
    """A test's own namespace and its cluster-wide objects; all are deleted after the test.

    Attributes:
        name: the namespace's unique name, which can be part of other names.
    """

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self._cleanup = contextlib.ExitStack()
        self._cleanup.callback(self._delete)

    def create(self, manifest: Object, **more: Any) -> LiveObject:
        """Create an object; in the namespace unless its kind is cluster-wide."""
        manifest = {**manifest, "metadata": {**manifest["metadata"]}}
        manifest["metadata"]["labels"] = {LABEL: "", **manifest["metadata"].get("labels", {})}
        resource = self.cluster.kind(manifest["kind"], manifest["apiVersion"])
        target = {"namespace": self.name} if resource.namespaced else {}
        created = LiveObject(self.cluster, resource.create(manifest, **target, **more).to_dict())
        if not resource.namespaced:
            self._cleanup.callback(created.delete)
        return created

    def dry_run(self, manifest: Object) -> Object:
        """Return the object that the API server would create."""
        resource = self.cluster.kind(manifest["kind"], manifest["apiVersion"])
        made: Object = resource.create(manifest, namespace=self.name, dry_run="All").to_dict()
        return made

    def all(self, kind: str, api_version: str = "v1", **query: Any) -> list[Object]:
        """Return the namespace's objects of a kind."""
        return self.cluster.all(kind, api_version, namespace=self.name, **query)

    def names(self, kind: str, api_version: str = "v1", **query: Any) -> set[str]:
        """Return the names of the namespace's objects of a kind."""
        return {found["metadata"]["name"] for found in self.all(kind, api_version, **query)}

    def find(self, kind: str, name: str, api_version: str = "v1") -> Object | None:
        """Return one object of the namespace; None when it does not exist."""
        return self.cluster.find(kind, name, api_version, namespace=self.name)

    def events(self, involved: str, reason: str) -> list[Object]:
        """Return the events with a reason about the object of a name."""
        selector = f"involvedObject.name={involved},reason={reason}"
        return self.all("Event", field_selector=selector)

    def event_messages(self, involved: str, reason: str) -> str:
        """Return the messages of these events, one per line."""
        return "\n".join(event["message"] for event in self.events(involved, reason))

    def kubectl(self, *args: str, check: bool = True, stdin: str = "") -> str:
        """Run kubectl in the namespace."""
        return self.cluster.kubectl("--namespace", self.name, *args, check=check, stdin=stdin)

    def delete_all(self) -> None:
        """Request the deletion of the namespace and of everything else the test created."""
        self._cleanup.close()

    def _delete(self) -> None:
        with _ignore_missing():
            client.CoreV1Api(self.cluster.api).delete_namespace(self.name)
        for held in self.all("ConfigMap"):
            if HOLD in held["metadata"].get("finalizers", ()):
                LiveObject(self.cluster, held).patch({"metadata": {"finalizers": []}})


NamespaceFactory = Callable[..., ScratchNamespace]
