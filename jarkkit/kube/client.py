"""One cluster's API as plain dicts: read, written, watched, reached into."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from jarkkit.errors import JarkkitError
from jarkkit.kube.discovery import Kinds, Resource
from jarkkit.kube.forward import forwarded
from jarkkit.kube.http import Calls, Object, Token
from jarkkit.kube.problems import NoAnswerError, RefusedError, explain, unknown_kind
from jarkkit.kube.reading import pages, watched

_MANAGER = "jarkkit"
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_LOG_BYTES = 256 * 1024
# What the API says of a container that has not written anything yet.
_NO_LOG = ("waiting to start", "previous terminated container", "is not available", "not found")


class Kube:
    """One cluster's API: plain dicts in and out. Safe to use from several threads.

    Making one calls nobody. Every method raises JK-KUBE-UNREACHABLE, JK-KUBE-DENIED,
    JK-KUBE-REFUSED (not valid, not admitted) or JK-KUBE-FAILED (so for a kind that the cluster does
    not know). A namespaced object without a namespace is in `default`, as with kubectl.

    Args:
        endpoint: URL of the API server.
        certificate_authority: whom to trust, PEM in base64, as EKS tells it.
        token: makes a bearer token and says until when it may be used.
        patience: seconds for which reads and writes that may be repeated are tried again while the
            API server does not answer or is busy.
    """

    def __init__(
        self,
        endpoint: str,
        certificate_authority: str,
        token: Token,
        *,
        patience: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._calls = Calls(endpoint, certificate_authority, token, patience, sleep)
        self._kinds = Kinds(self._calls)
        self._sleep = sleep

    # -- what is served ------------------------------------------------------------------------

    def version(self) -> str:
        """Kubernetes' version, such as `v1.36.3`."""
        with _explained("read the version"):
            return str(self._calls.json("GET", "/version")["gitVersion"])

    def knows(self, api_version: str, kind: str) -> bool:
        """True when the cluster serves that kind; asked afresh as long as it does not."""
        with _explained(f"look for {kind} of {api_version}"):
            return self._kinds.find(api_version, kind) is not None

    # -- reading -------------------------------------------------------------------------------

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object | None:
        """One object; None when it, or its kind, is not there."""
        with _explained(f"get {_named(kind, name, namespace)}", kind):
            resource = self._kinds.find(api_version, kind)
            if resource is None:
                return None
            return _or_none(
                lambda: self._calls.json("GET", resource.path(name, namespace)),
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
        """All objects, of one namespace where one is named, read in pages while they are used.

        Args:
            labels: label selector.
            fields: field selector.
        """
        path = self._collection(api_version, kind, namespace)
        read = pages(self._calls, path, _selectors(labels, fields))
        while True:
            with self._of(api_version, kind, f"list {kind}"):
                page = next(read, None)
            if page is None:
                return
            for thing in page.items:
                yield {"apiVersion": api_version, "kind": kind, **thing}

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
        """What there is, each ADDED, then what happens: ADDED, MODIFIED, DELETED.

        Lost connections are made again. After a long pause, all may come as ADDED once more, and
        what went away meanwhile as DELETED, then with its name and namespace alone.

        Args:
            seconds: ends after that time. While the API server hangs it may take 20 s more, and
                `patience` more while it is away.
        """
        path = self._collection(api_version, kind, namespace)
        selectors = _selectors(labels, fields)
        happened = watched(self._calls, path, selectors, seconds, self._sleep)
        while True:
            with self._of(api_version, kind, f"watch {kind}"):
                event = next(happened, None)
            if event is None:
                return
            yield event[0], {"apiVersion": api_version, "kind": kind, **event[1]}

    def events(self, namespace: str, name: str) -> tuple[Object, ...]:
        """The events about the object of that name, oldest first.

        For an object without a namespace, all namespaces are searched.
        """
        found = self.list("v1", "Event", namespace, fields=f"involvedObject.name={name}")
        return tuple(sorted(found, key=happened_at))

    def logs(
        self,
        namespace: str,
        pod: str,
        container: str = "",
        *,
        lines: int = 20,
        previous: bool = False,
    ) -> str:
        """A container's last lines; nothing when it has not run, or the pod is gone.

        Args:
            container: may be left out for a pod that has only one.
            previous: of the run before the present one.
        """
        query = {"tailLines": str(lines), "limitBytes": str(_LOG_BYTES)}
        query |= {"container": container} if container else {}
        query |= {"previous": "true"} if previous else {}
        path = self._resource("v1", "Pod").path(pod, namespace) + "/log"
        with _explained(f"read the log of {namespace}/{pod}"):
            try:
                return self._calls.data("GET", path, query=query).decode(errors="replace")
            except RefusedError as error:
                silent = error.status == 400 and any(word in error.message for word in _NO_LOG)
                if silent or error.status == 404:
                    return ""
                raise

    # -- writing -------------------------------------------------------------------------------

    def apply(self, thing: Object) -> Object:
        """Server-side apply, with force and strict about unknown fields; answers what is there."""
        return self._write(
            "apply",
            thing,
            content=_APPLY,
            query={"fieldManager": _MANAGER, "force": "true", "fieldValidation": "Strict"},
        )

    def create(self, thing: Object) -> bool:
        """Make it. False when one of that name exists already, which is left as it is.

        A connection that is lost in the middle is repeated; what the first attempt made counts as
        existing then.
        """
        api_version, kind, name, namespace = _identity(thing)
        resource = self._resource(api_version, kind)
        with self._of(api_version, kind, f"create {_named(kind, name, namespace)}"):
            try:
                self._calls.json(
                    "POST",
                    resource.collection(namespace or "default"),
                    body=thing,
                    query={"fieldManager": _MANAGER, "fieldValidation": "Strict"},
                )
            except RefusedError as error:
                if error.reason == "AlreadyExists":
                    return False
                raise
        return True

    def patch(
        self, api_version: str, kind: str, name: str, change: Object, namespace: str = ""
    ) -> None:
        """Merge the change into an object (RFC 7396). One that is absent is JK-KUBE-FAILED."""
        metadata = {"name": name, "namespace": namespace}
        thing = {"apiVersion": api_version, "kind": kind, "metadata": metadata}
        self._write("change", thing, body=change, content=_MERGE, query={"fieldManager": _MANAGER})

    def delete(self, api_version: str, kind: str, name: str, namespace: str = "") -> bool:
        """Ask for its deletion, and for that of what it owns, without waiting. False when it, or
        its kind, is not there."""
        with _explained(f"delete {_named(kind, name, namespace)}", kind):
            resource = self._kinds.find(api_version, kind)
            if resource is None:
                return False
            path, options = resource.path(name, namespace), {"propagationPolicy": "Background"}
            return _or_none(lambda: self._calls.json("DELETE", path, body=options)) is not None

    # -- reaching into it ----------------------------------------------------------------------

    def forward(self, namespace: str, pod: str, port: int) -> AbstractContextManager[int]:
        """A loopback port that leads to a pod's port, for several connections at a time."""
        path = self._resource("v1", "Pod").path(pod, namespace) + "/portforward"
        return self._forward(path, port, f"forward port {port} of {namespace}/{pod}")

    @contextlib.contextmanager
    def _forward(self, path: str, port: int, doing: str) -> Iterator[int]:
        bridge = forwarded(self._calls, path, port)
        with _explained(doing):
            local = bridge.__enter__()
        with contextlib.ExitStack() as stack:
            stack.push(bridge)
            yield local

    # -- plumbing ------------------------------------------------------------------------------

    def _write(
        self, doing: str, thing: Object, *, body: Object | None = None, **how: Any
    ) -> Object:
        api_version, kind, name, namespace = _identity(thing)
        path = self._resource(api_version, kind).path(name, namespace)
        with self._of(api_version, kind, f"{doing} {_named(kind, name, namespace)}"):
            return self._calls.json("PATCH", path, body=body or thing, **how)

    def _collection(self, api_version: str, kind: str, namespace: str) -> str:
        return self._resource(api_version, kind).collection(namespace)

    def _resource(self, api_version: str, kind: str) -> Resource:
        with _explained(f"look for {kind} of {api_version}"):
            found = self._kinds.find(api_version, kind)
        if found is None:
            raise unknown_kind(api_version, kind)
        return found

    @contextlib.contextmanager
    def _of(self, api_version: str, kind: str, doing: str) -> Iterator[None]:
        """Errors explained; a 404 may mean that the kind is gone, so it is looked up next time."""
        try:
            with _explained(doing, kind):
                yield
        except JarkkitError as error:
            if isinstance(error.__cause__, RefusedError) and error.__cause__.status == 404:
                self._kinds.forget(api_version)
            raise


def happened_at(event: Object) -> str:
    """When an event happened last, as text that sorts."""
    series = event.get("series") or {}
    moment = (
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
    )
    return str(moment or "")


@contextlib.contextmanager
def _explained(doing: str, kind: str = "") -> Iterator[None]:
    try:
        yield
    except (RefusedError, NoAnswerError) as error:
        raise explain(error, doing, secret=kind == "Secret") from error


def _or_none(ask: Callable[[], Object]) -> Object | None:
    try:
        return ask()
    except RefusedError as error:
        if error.status == 404:
            return None
        raise


def _identity(thing: Object) -> tuple[str, str, str, str]:
    """apiVersion, kind, name, namespace."""
    meta = thing["metadata"]
    return thing["apiVersion"], thing["kind"], meta["name"], meta.get("namespace") or ""


def _named(kind: str, name: str, namespace: str) -> str:
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def _selectors(labels: str, fields: str) -> dict[str, str]:
    selectors = {"labelSelector": labels, "fieldSelector": fields}
    return {name: value for name, value in selectors.items() if value}
