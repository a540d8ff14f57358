"""One cluster's API with objects as plain dicts: reads, writes, watches, port-forwards."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from jarkkit.model.errors import ObjectNotFound
from jarkkit.model.kubernetes_values import event_time
from jarkkit.ports.kube.discovery import ApiResource, Discovery
from jarkkit.ports.kube.errors import ApiStatusError, NoResponseError, explain, unknown_kind
from jarkkit.ports.kube.http import HttpClient, Object, TokenProvider
from jarkkit.ports.kube.list_watch import list_pages, watch_events
from jarkkit.ports.kube.port_forward import port_forward

_MANAGER = "jarkkit"
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_LOG_BYTES = 256 * 1024
# Parts of the API's messages for a container without logs.
_NO_LOG = ("waiting to start", "previous terminated container", "is not available", "not found")


class Kube:
    """One cluster's API with objects as plain dicts. Thread-safe.

    The constructor makes no call. Every method raises JK-KUBE-UNREACHABLE, JK-KUBE-DENIED,
    JK-KUBE-REFUSED (invalid or not admitted) or JK-KUBE-FAILED (for example, for a kind that the
    cluster does not serve). A namespaced object without a namespace is in `default`, as with
    kubectl.

    Args:
        endpoint: URL of the API server.
        certificate_authority: CA certificate, PEM in base64, as EKS returns it.
        token: returns a bearer token and its expiry.
        retry_seconds: how long reads and repeatable writes are retried while the API server does
            not answer or is overloaded.
    """

    def __init__(
        self,
        endpoint: str,
        certificate_authority: str,
        token: TokenProvider,
        *,
        retry_seconds: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._calls = HttpClient(endpoint, certificate_authority, token, retry_seconds, sleep)
        self._kinds = Discovery(self._calls)
        self._sleep = sleep

    # -- discovery -----------------------------------------------------------------------------

    def version(self) -> str:
        """Return Kubernetes' version, such as `v1.36.3`."""
        with _explained("read the version"):
            return str(self._calls.json("GET", "/version")["gitVersion"])

    def serves_kind(self, api_version: str, kind: str) -> bool:
        """Return True if the cluster serves that kind. A negative answer is not cached."""
        with _explained(f"look for {kind} of {api_version}"):
            return self._kinds.find(api_version, kind) is not None

    # -- reading -------------------------------------------------------------------------------

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object | None:
        """Return one object; None if it, or its kind, does not exist."""
        with _explained(f"get {_named(kind, name, namespace)}", kind):
            resource = self._kinds.find(api_version, kind)
            if resource is None:
                return None
            return _or_none(
                lambda: self._calls.json("GET", resource.object_path(name, namespace)),
            )

    def list(
        self,
        api_version: str,
        kind: str,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
    ) -> Iterator[Object]:
        """Yield all objects, or those of one namespace, in pages.

        Args:
            labels: label selector.
            fields: field selector.
        """
        path = self._collection(api_version, kind, namespace)
        read = list_pages(self._calls, path, _selectors(labels, fields))
        while True:
            with self._of(api_version, kind, f"list {kind}"):
                page = next(read, None)
            if page is None:
                return
            for item in page.items:
                yield {"apiVersion": api_version, "kind": kind, **item}

    def watch(
        self,
        api_version: str,
        kind: str,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        seconds: float = 60.0,
    ) -> Iterator[tuple[str, Object]]:
        """Yield all existing objects as ADDED, then changes as ADDED, MODIFIED and DELETED.

        Lost connections are reopened. After a long interruption, all objects may be ADDED again,
        and objects deleted in the meantime are DELETED, with name and namespace only.

        Args:
            seconds: duration of the watch. It can take 20 s longer while the API server hangs, and
                `retry_seconds` longer while it is unreachable.
        """
        path = self._collection(api_version, kind, namespace)
        selectors = _selectors(labels, fields)
        happened = watch_events(self._calls, path, selectors, seconds, self._sleep)
        while True:
            with self._of(api_version, kind, f"watch {kind}"):
                event = next(happened, None)
            if event is None:
                return
            yield event[0], {"apiVersion": api_version, "kind": kind, **event[1]}

    def events(self, namespace: str, name: str) -> tuple[Object, ...]:
        """Return the events about the object of that name, oldest first.

        For an object without a namespace, it searches all namespaces.
        """
        found = self.list("v1", "Event", namespace, fields=f"involvedObject.name={name}")
        return tuple(sorted(found, key=event_time))

    def logs(
        self,
        namespace: str,
        pod: str,
        container: str = "",
        *,
        lines: int = 20,
        previous: bool = False,
    ) -> str:
        """Return a container's last log lines; empty if it has not started or the pod is gone.

        Args:
            container: optional for a pod with only one container.
            previous: return the log of the previous, terminated container.
        """
        query = {"tailLines": str(lines), "limitBytes": str(_LOG_BYTES)}
        query |= {"container": container} if container else {}
        query |= {"previous": "true"} if previous else {}
        path = self._resource("v1", "Pod").object_path(pod, namespace) + "/log"
        with _explained(f"read the log of {namespace}/{pod}"):
            try:
                return self._calls.read("GET", path, query=query).decode(errors="replace")
            except ApiStatusError as error:
                silent = error.status == 400 and any(word in error.message for word in _NO_LOG)
                if silent or error.status == 404:
                    return ""
                raise

    # -- writing -------------------------------------------------------------------------------

    def apply(self, manifest: Object) -> Object:
        """Apply server-side, with force and strict field validation. Returns the result."""
        return self._write(
            "apply",
            manifest,
            content=_APPLY,
            query={"fieldManager": _MANAGER, "force": "true", "fieldValidation": "Strict"},
        )

    def create(self, manifest: Object) -> bool:
        """Create the object. Returns False, and changes nothing, if it already exists.

        A lost connection causes a retry; an object that the first attempt created then counts as
        existing.
        """
        api_version, kind, name, namespace = _identity(manifest)
        resource = self._resource(api_version, kind)
        with self._of(api_version, kind, f"create {_named(kind, name, namespace)}"):
            try:
                self._calls.json(
                    "POST",
                    resource.collection_path(namespace or "default"),
                    body=manifest,
                    query={"fieldManager": _MANAGER, "fieldValidation": "Strict"},
                )
            except ApiStatusError as error:
                if error.reason == "AlreadyExists":
                    return False
                raise
        return True

    def patch(
        self, api_version: str, kind: str, name: str, change: Object, namespace: str = ""
    ) -> None:
        """Merge the change into an object (RFC 7396). Raises JK-KUBE-FAILED if it is missing."""
        metadata = {"name": name, "namespace": namespace}
        manifest = {"apiVersion": api_version, "kind": kind, "metadata": metadata}
        self._write(
            "change", manifest, body=change, content=_MERGE, query={"fieldManager": _MANAGER}
        )

    def delete(self, api_version: str, kind: str, name: str, namespace: str = "") -> bool:
        """Delete the object and its dependents in the background, without waiting. Returns False if
        it, or its kind, does not exist."""
        with _explained(f"delete {_named(kind, name, namespace)}", kind):
            resource = self._kinds.find(api_version, kind)
            if resource is None:
                return False
            path, options = (
                resource.object_path(name, namespace),
                {"propagationPolicy": "Background"},
            )
            return _or_none(lambda: self._calls.json("DELETE", path, body=options)) is not None

    # -- port-forward --------------------------------------------------------------------------

    def port_forward(
        self, namespace: str, pod: str, port: int, local_port: int = 0
    ) -> AbstractContextManager[int]:
        """Forward a loopback port to a pod's port, for several connections at a time.

        Entering the context raises OSError if `local_port` is in use.

        Args:
            local_port: port to listen on; 0 for any free port.
        """
        path = self._resource("v1", "Pod").object_path(pod, namespace) + "/portforward"
        bridge = port_forward(self._calls, path, port, local_port)
        return self._forward(bridge, f"forward port {port} of {namespace}/{pod}")

    @contextlib.contextmanager
    def _forward(self, bridge: AbstractContextManager[int], doing: str) -> Iterator[int]:
        with _explained(doing):
            local = bridge.__enter__()
        with contextlib.ExitStack() as stack:
            stack.push(bridge)
            yield local

    # -- plumbing ------------------------------------------------------------------------------

    def _write(
        self, doing: str, manifest: Object, *, body: Object | None = None, **how: Any
    ) -> Object:
        api_version, kind, name, namespace = _identity(manifest)
        path = self._resource(api_version, kind).object_path(name, namespace)
        with self._of(api_version, kind, f"{doing} {_named(kind, name, namespace)}"):
            return self._calls.json("PATCH", path, body=body or manifest, **how)

    def _collection(self, api_version: str, kind: str, namespace: str) -> str:
        return self._resource(api_version, kind).collection_path(namespace)

    def _resource(self, api_version: str, kind: str) -> ApiResource:
        with _explained(f"look for {kind} of {api_version}"):
            found = self._kinds.find(api_version, kind)
        if found is None:
            raise unknown_kind(api_version, kind)
        return found

    @contextlib.contextmanager
    def _of(self, api_version: str, kind: str, doing: str) -> Iterator[None]:
        """Translate errors. After a 404, the next call looks the kind up again: it may be gone."""
        try:
            with _explained(doing, kind):
                yield
        except ObjectNotFound:
            self._kinds.invalidate(api_version)
            raise


@contextlib.contextmanager
def _explained(doing: str, kind: str = "") -> Iterator[None]:
    try:
        yield
    except (ApiStatusError, NoResponseError) as error:
        raise explain(error, doing, secret=kind == "Secret") from error


def _or_none(ask: Callable[[], Object]) -> Object | None:
    try:
        return ask()
    except ApiStatusError as error:
        if error.status == 404:
            return None
        raise


def _identity(manifest: Object) -> tuple[str, str, str, str]:
    """Return apiVersion, kind, name and namespace."""
    meta = manifest["metadata"]
    return manifest["apiVersion"], manifest["kind"], meta["name"], meta.get("namespace") or ""


def _named(kind: str, name: str, namespace: str) -> str:
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def _selectors(labels: str, fields: str) -> dict[str, str]:
    selectors = {"labelSelector": labels, "fieldSelector": fields}
    return {name: value for name, value in selectors.items() if value}
