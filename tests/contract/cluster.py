"""A cluster as its users see it: the official client, kubectl, a kubeconfig. Nothing of ours."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from kubernetes import client
from kubernetes.client import ApiException
from kubernetes.dynamic import DynamicClient

from tests.clusters.conftest import World

Object = dict[str, Any]
T = TypeVar("T")

FOREIGN = os.environ.get("JARKKIT_TEST_KUBECONFIG", "")
# Real kubelets pull images, real load balancers take minutes.
PATIENCE = 600.0 if FOREIGN else 40.0
_PAUSE = 0.5 if FOREIGN else 0.1
# By it what a killed run has left behind is found.
LABEL = "jarkkit.io/contract"
# A finalizer that nobody but a test takes away.
HOLD = "jarkkit.io/hold"
# In the sandbox this says what the container's own command would make true on a real node.
SANDBOX = "sandbox.jarkkit.io"


def until(ask: Callable[[], T], seconds: float = PATIENCE) -> T:
    """What `ask` answers as soon as that is true; what is not found counts as not yet."""
    deadline = time.monotonic() + seconds
    while True:
        answer: Any = None
        with contextlib.suppress(_NotYetError), _missing_is_not_yet():
            answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"in vain for {seconds:g} s; the last answer: {answer}"
        time.sleep(_PAUSE)


class _NotYetError(Exception):
    """What was asked for is not there."""


@contextlib.contextmanager
def _missing_is_not_yet() -> Iterator[None]:
    try:
        yield
    except ApiException as error:
        if error.status != 404:
            raise
        raise _NotYetError from error


@contextlib.contextmanager
def refused(status: int, *words: str) -> Iterator[None]:
    """The API server refuses it with this status, and its message has these words."""
    with pytest.raises(ApiException) as caught:
        yield
    message = message_of(caught.value)
    assert caught.value.status == status, message
    for word in words:
        assert word in message


def message_of(error: ApiException) -> str:
    """What the API server said."""
    with contextlib.suppress(TypeError, ValueError, KeyError):
        return str(json.loads(error.body)["message"])
    return str(error.body or error.reason)


@dataclass(frozen=True)
class Cluster:
    """Where the tests run.

    Attributes:
        sandbox: the account around it, when it is a sandbox; None for a cluster of somebody's own.
        cache: for kubectl.
    """

    kubeconfig: Path
    api: client.ApiClient
    dynamic: DynamicClient
    cache: Path
    sandbox: World | None

    def kubectl(self, *words: str, check: bool = True, given: str = "") -> str:
        """What a user's kubectl says on both streams."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, input=given)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def command(self, *words: str) -> list[str]:
        """kubectl's command line."""
        return [
            "kubectl",
            "--kubeconfig",
            str(self.kubeconfig),
            f"--cache-dir={self.cache}",
            *words,
        ]

    def kind(self, name: str, api_version: str = "v1") -> Any:
        """The resource of a kind."""
        return self.dynamic.resources.get(api_version=api_version, kind=name)

    def all(self, kind: str, api_version: str = "v1", **query: Any) -> list[Object]:
        """Objects of that kind, of one namespace or of all."""
        found: list[Object] = self.kind(kind, api_version).get(**query).to_dict()["items"]
        return found

    def find(self, kind: str, name: str, api_version: str = "v1", **query: Any) -> Object | None:
        """One object; None when it is not there."""
        try:
            found: Object = self.kind(kind, api_version).get(name=name, **query).to_dict()
        except ApiException as error:
            if error.status == 404:
                return None
            raise
        return found


class Thing:
    """An object that a test has made."""

    def __init__(self, cluster: Cluster, made: Object) -> None:
        self._resource = cluster.kind(made["kind"], made["apiVersion"])
        self.name: str = made["metadata"]["name"]
        self.uid: str = made["metadata"]["uid"]
        self._where = {"name": self.name, "namespace": made["metadata"].get("namespace")}

    @property
    def now(self) -> Object:
        """As it is. Raises ApiException."""
        found: Object = self._resource.get(**self._where).to_dict()
        return found

    @property
    def status(self) -> Object:
        """Its status as it is."""
        found: Object = self.now.get("status") or {}
        return found

    def condition(self, kind: str) -> Object:
        """That condition; with an empty status when it is not there."""
        found = self.status.get("conditions") or ()
        return next((c for c in found if c["type"] == kind), {"status": "", "reason": ""})

    def patch(self, change: Object) -> None:
        """A merge patch."""
        merge = "application/merge-patch+json"
        self._resource.patch(change, content_type=merge, **self._where)

    def delete(self, policy: str = "Background") -> None:
        """Ask for its deletion; it may be gone already."""
        with contextlib.suppress(_NotYetError), _missing_is_not_yet():
            self._resource.delete(body={"propagationPolicy": policy}, **self._where)

    def is_gone(self) -> bool:
        """True when there is none of its name, or another one."""
        try:
            return bool(self.now["metadata"]["uid"] != self.uid)
        except ApiException as error:
            if error.status != 404:
                raise
            return True


class Space:
    """A namespace of one test's own, and what else it makes; all of it goes with the test.

    Attributes:
        name: of the namespace; unique, so that it can be part of other names.
    """

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self._last = contextlib.ExitStack()
        self._last.callback(self._delete)

    def create(self, manifest: Object, **more: Any) -> Thing:
        """Make an object; in the namespace unless its kind has none."""
        manifest = {**manifest, "metadata": {**manifest["metadata"]}}
        manifest["metadata"]["labels"] = {LABEL: "", **manifest["metadata"].get("labels", {})}
        resource = self.cluster.kind(manifest["kind"], manifest["apiVersion"])
        where = {"namespace": self.name} if resource.namespaced else {}
        thing = Thing(self.cluster, resource.create(manifest, **where, **more).to_dict())
        if not resource.namespaced:
            self._last.callback(thing.delete)
        return thing

    def would_create(self, manifest: Object) -> Object:
        """What the API server would make of it."""
        resource = self.cluster.kind(manifest["kind"], manifest["apiVersion"])
        made: Object = resource.create(manifest, namespace=self.name, dry_run="All").to_dict()
        return made

    def all(self, kind: str, api_version: str = "v1", **query: Any) -> list[Object]:
        """The namespace's objects of that kind."""
        return self.cluster.all(kind, api_version, namespace=self.name, **query)

    def names(self, kind: str, api_version: str = "v1", **query: Any) -> set[str]:
        """The names of these."""
        return {thing["metadata"]["name"] for thing in self.all(kind, api_version, **query)}

    def find(self, kind: str, name: str, api_version: str = "v1") -> Object | None:
        """One object of the namespace; None when it is not there."""
        return self.cluster.find(kind, name, api_version, namespace=self.name)

    def events(self, about: str, reason: str) -> list[Object]:
        """Events of that reason about the object of that name."""
        selector = f"involvedObject.name={about},reason={reason}"
        return self.all("Event", field_selector=selector)

    def said(self, about: str, reason: str) -> str:
        """The messages of these events, a line each."""
        return "\n".join(event["message"] for event in self.events(about, reason))

    def kubectl(self, *words: str, check: bool = True, given: str = "") -> str:
        """kubectl in the namespace."""
        return self.cluster.kubectl("--namespace", self.name, *words, check=check, given=given)

    def tidy(self) -> None:
        """Ask for the deletion of all of it, whatever a test has left half-done."""
        self._last.close()

    def _delete(self) -> None:
        with contextlib.suppress(_NotYetError), _missing_is_not_yet():
            client.CoreV1Api(self.cluster.api).delete_namespace(self.name)
        for held in self.all("ConfigMap"):
            if HOLD in held["metadata"].get("finalizers", ()):
                Thing(self.cluster, held).patch({"metadata": {"finalizers": []}})
