"""The pages that the add-ons serve, reached through the API server: nothing is put on a network.

https://kubernetes.io/docs/tasks/access-application-cluster/port-forward-access-application-cluster/
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from jarkkit.addons import choice
from jarkkit.cluster.pod_inquiry import is_ready
from jarkkit.errors import JarkkitError
from jarkkit.kube import Kube
from jarkkit.settings import Settings

Object = dict[str, Any]
_PATIENCE_SECONDS = 10.0
_READ = 64 * 1024


@dataclass(frozen=True)
class Place:
    """A page of an add-on.

    Attributes:
        name: what it is called on the command line.
        secret: name of the Secret with its login, and under which keys; empty where it has none.
    """

    name: str
    title: str
    addon: str
    namespace: str
    service: str
    port: int
    path: str = "/"
    secret: str = ""
    user_key: str = ""
    password_key: str = ""

    @property
    def scheme(self) -> str:
        """How it is spoken to."""
        return "https" if self.port in (443, 8443) else "http"


@dataclass(frozen=True)
class Login:
    """A user and a password. Shown only when somebody asks for the attributes.

    Attributes:
        user: empty where a token alone is the login.
    """

    user: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """What a page answered.

    Attributes:
        simulated: no program was behind it, only the sandbox.
        text: the beginning.
    """

    status: int
    simulated: bool
    text: str = ""


def places(settings: Settings) -> tuple[Place, ...]:
    """Where there is something to see, with these settings."""
    return tuple(
        Place(
            name=re.sub(r"[^a-z0-9]+", "-", service.title.lower()).strip("-"),
            title=service.title,
            addon=addon.name,
            namespace=addon.namespace,
            service=service.name,
            port=service.ports[0].port,
            path=service.path,
            secret=service.secret,
            user_key=service.user_key,
            password_key=service.password_key,
        )
        for addon in choice.chosen(settings)
        for service in addon.services
        if service.title
    )


def place(settings: Settings, name: str) -> Place:
    """One of them by its name, or the beginning of it. Raises JK-USE-UNKNOWN."""
    everything = places(settings)
    found = [p for p in everything if p.name == name]
    found = found or [p for p in everything if p.name.startswith(name.lower())]
    if len(found) == 1:
        return found[0]
    names = ", ".join(p.name for p in everything) or "none"
    raise JarkkitError(
        "JK-USE-UNKNOWN",
        f"There is no page {name!r} with the add-ons that are on.",
        f"There are: {names}.",
    )


@contextlib.contextmanager
def opened(kube: Kube, at: Place) -> Iterator[str]:
    """The place's URL on this machine, as long as the context lasts.

    Raises JK-USE-FAILED when nothing is ready behind it, JK-KUBE-….
    """
    pod, port = _behind(kube, at)
    with kube.forward(at.namespace, pod, port) as local:
        yield f"{at.scheme}://127.0.0.1:{local}{at.path}"


def ask(kube: Kube, at: Place, path: str = "") -> Answer:
    """Get its page, or another path of it. Raises JK-USE-FAILED, JK-KUBE-…"""
    pod, port = _behind(kube, at)
    with kube.forward(at.namespace, pod, port) as local:
        try:
            return _get(at.scheme, local, path or at.path)
        except (OSError, http.client.HTTPException) as error:
            raise JarkkitError(
                "JK-USE-FAILED",
                f"{at.title} does not answer ({type(error).__name__}: {error}).",
                f"What it says: kubectl -n {at.namespace} logs {pod}",
            ) from error


def login(kube: Kube, at: Place) -> Login:
    """Its user and password. They are read now and kept nowhere. Raises JK-USE-UNKNOWN."""
    found = kube.get("v1", "Secret", at.secret, at.namespace) if at.secret else None
    if found is None:
        raise JarkkitError(
            "JK-USE-UNKNOWN",
            f"{at.title} has no login in the cluster.",
            "It asks for none, or for one that you have already (OpenID Connect, Cognito).",
        )
    data = found.get("data") or {}
    user = _decoded(data, at.user_key)
    if not user and "token" not in at.password_key:
        user = "admin"  # Argo CD's only one, which its Secret does not name
    return Login(user, _decoded(data, at.password_key))


def _decoded(data: Object, key: str) -> str:
    return base64.b64decode(data.get(key, "")).decode(errors="replace")


def _behind(kube: Kube, at: Place) -> tuple[str, int]:
    """A ready pod of its Service, and the port that it listens on."""
    service = kube.get("v1", "Service", at.service, at.namespace)
    chosen = (service or {}).get("spec", {}).get("selector") or {}
    if service is None or not chosen:
        raise _nobody(at, f"there is no Service {at.namespace}/{at.service}")
    labels = ",".join(f"{key}={value}" for key, value in chosen.items())
    ready = [p for p in kube.list("v1", "Pod", at.namespace, labels=labels) if is_ready(p)]
    if not ready:
        raise _nobody(at, f"no pod behind Service {at.namespace}/{at.service} is ready")
    return ready[0]["metadata"]["name"], target_port(service, ready[0], at.port)


def target_port(service: Object, pod: Object, port: int) -> int:
    """What a pod listens on for a port of its Service. Pure."""
    found: Object = next((p for p in service["spec"]["ports"] if p["port"] == port), {})
    target = found.get("targetPort", port)
    if isinstance(target, int):
        return target
    named = {
        named["name"]: named["containerPort"]
        for container in pod["spec"]["containers"]
        for named in container.get("ports") or ()
        if "name" in named
    }
    return int(named.get(target, port))


def _nobody(at: Place, why: str) -> JarkkitError:
    return JarkkitError(
        "JK-USE-FAILED",
        f"{at.title} cannot be reached: {why}.",
        "What is not ready and why: jarkkit verify",
    )


def _get(scheme: str, port: int, path: str) -> Answer:
    """One GET, redirects not followed: they lead to names that only the cluster knows."""
    connection = (
        http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=_PATIENCE_SECONDS, context=_trusting()
        )
        if scheme == "https"
        else http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
    )
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Accept": "text/html, application/json"})
        answer = connection.getresponse()
        text = answer.read(_READ).decode(errors="replace")
        return Answer(answer.status, _simulated(text), text)


def _trusting() -> ssl.SSLContext:
    """The API server vouches for the pod; the certificate of the pod itself names nobody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _simulated(text: str) -> bool:
    """True for the answer that stands in for a program in a sandbox (docs/sandbox.md)."""
    try:
        said = json.loads(text)
    except ValueError:
        return False
    return isinstance(said, dict) and said.get("simulated") is True
