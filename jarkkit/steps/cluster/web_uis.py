"""The add-ons' web UIs, reached through the API server: none of them is exposed on a network.

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

from jarkkit.decisions.addons import hub_address
from jarkkit.decisions.cluster.readiness import is_ready
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.errors import JarkkitError
from jarkkit.ports.kube import Kube

Object = dict[str, Any]
_TIMEOUT_SECONDS = 10.0
_MAX_BYTES = 64 * 1024


@dataclass(frozen=True)
class WebEndpoint:
    """A web UI of an add-on.

    Attributes:
        name: its name on the command line.
        secret: name of the Secret with its login; empty when it has none.
        user_key, password_key: the keys of the login in the Secret.
        local_port: port on this machine that its login needs; 0 for any.
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
    local_port: int = 0

    @property
    def scheme(self) -> str:
        """The URL scheme: `https` or `http`."""
        return "https" if self.port in (443, 8443) else "http"


@dataclass(frozen=True)
class Login:
    """A user and a password. The repr hides both; read the attributes to see them.

    Attributes:
        user: empty when the login is a token only.
    """

    user: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True)
class EndpointResponse:
    """The response of a web UI.

    Attributes:
        simulated: the sandbox answered, not a real program.
        text: the beginning of the body.
    """

    status: int
    simulated: bool
    text: str = ""


def endpoints(stack: ResolvedStack) -> tuple[WebEndpoint, ...]:
    """Return the web UIs of the enabled add-ons."""
    return tuple(
        WebEndpoint(
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
            local_port=hub_address.local_port(stack.settings) if addon.name == "jupyterhub" else 0,
        )
        for addon in stack.addons
        for service in addon.services
        if service.title
    )


def find_endpoint(stack: ResolvedStack, name: str) -> WebEndpoint:
    """Return one web UI by its name or a prefix of it. Raises JK-USE-UNKNOWN."""
    available = endpoints(stack)
    found = [each for each in available if each.name == name]
    found = found or [each for each in available if each.name.startswith(name.lower())]
    if len(found) == 1:
        return found[0]
    names = ", ".join(each.name for each in available) or "none"
    raise JarkkitError(
        "JK-USE-UNKNOWN",
        f"The enabled add-ons have no web UI named {name!r}.",
        f"Choose one of: {names}.",
    )


@contextlib.contextmanager
def open_endpoint(kube: Kube, endpoint: WebEndpoint, port: int = 0) -> Iterator[str]:
    """Yield the web UI's URL on this machine, valid while the context is open.

    Its host is `localhost`, because identity providers accept HTTP for no other name.
    Raises JK-USE-FAILED when no pod behind it is ready or the port is in use, JK-KUBE-….

    Args:
        port: port on this machine; 0 for any free port, or the one that the endpoint asks for.
    """
    pod, target = _behind(kube, endpoint)
    chosen = port or endpoint.local_port
    forward = kube.port_forward(endpoint.namespace, pod, target, chosen)
    with contextlib.ExitStack() as opened:
        try:
            local = opened.enter_context(forward)
        except OSError as error:
            raise _port_in_use(endpoint, chosen) from error
        yield f"{endpoint.scheme}://localhost:{local}{endpoint.path}"


def get_endpoint(kube: Kube, endpoint: WebEndpoint, path: str = "") -> EndpointResponse:
    """Request the web UI's start page, or another path. Raises JK-USE-FAILED, JK-KUBE-…"""
    pod, port = _behind(kube, endpoint)
    with kube.port_forward(endpoint.namespace, pod, port) as local:
        try:
            return _get(endpoint.scheme, local, path or endpoint.path)
        except (OSError, http.client.HTTPException) as error:
            raise JarkkitError(
                "JK-USE-FAILED",
                f"{endpoint.title} does not answer ({type(error).__name__}: {error}).",
                f"Read its log: kubectl -n {endpoint.namespace} logs {pod}",
                subjects=(endpoint.addon,),
            ) from error


def login(kube: Kube, endpoint: WebEndpoint) -> Login:
    """Read the web UI's user and password, without storing them. Raises JK-USE-UNKNOWN."""
    found = (
        kube.get("v1", "Secret", endpoint.secret, endpoint.namespace) if endpoint.secret else None
    )
    if found is None:
        raise JarkkitError(
            "JK-USE-UNKNOWN",
            f"{endpoint.title} has no login in the cluster.",
            "Open it without a login, or use your own (OpenID Connect, Cognito).",
        )
    data = found.get("data") or {}
    user = _decoded(data, endpoint.user_key)
    if not user and "token" not in endpoint.password_key:
        user = "admin"  # Argo CD's only user, which its Secret does not name
    return Login(user, _decoded(data, endpoint.password_key))


def _decoded(data: Object, key: str) -> str:
    return base64.b64decode(data.get(key, "")).decode(errors="replace")


def _behind(kube: Kube, at: WebEndpoint) -> tuple[str, int]:
    """Return a ready pod of its Service, and the port that the pod listens on."""
    service = kube.get("v1", "Service", at.service, at.namespace)
    selector = (service or {}).get("spec", {}).get("selector") or {}
    if service is None or not selector:
        raise _unreachable(at, f"there is no Service {at.namespace}/{at.service}")
    labels = ",".join(f"{key}={value}" for key, value in selector.items())
    ready = [p for p in kube.list("v1", "Pod", at.namespace, labels=labels) if is_ready(p)]
    if not ready:
        raise _unreachable(at, f"no pod behind Service {at.namespace}/{at.service} is ready")
    return ready[0]["metadata"]["name"], target_port(service, ready[0], at.port)


def target_port(service: Object, pod: Object, port: int) -> int:
    """Return the pod's port behind a port of its Service. Pure."""
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


def _unreachable(at: WebEndpoint, why: str) -> JarkkitError:
    return JarkkitError(
        "JK-USE-FAILED",
        f"{at.title} cannot be reached: {why}.",
        f"See its Service and its pods: kubectl -n {at.namespace} get services,pods",
        subjects=(at.addon,),
    )


def _port_in_use(at: WebEndpoint, port: int) -> JarkkitError:
    known = at.local_port == port
    return JarkkitError(
        "JK-USE-FAILED",
        f"{at.title} cannot be opened: port {port} of this machine cannot be used.",
        "Stop the program that uses it: the identity provider accepts no other port."
        if known
        else "Choose another port with --port, or leave it out to use any free one.",
    )


def _get(scheme: str, port: int, path: str) -> EndpointResponse:
    """Send one GET without following redirects: they lead to names that only the cluster
    resolves."""
    connection = (
        http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=_TIMEOUT_SECONDS, context=_unverified()
        )
        if scheme == "https"
        else http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    )
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Accept": "text/html, application/json"})
        answer = connection.getresponse()
        text = answer.read(_MAX_BYTES).decode(errors="replace")
        return EndpointResponse(answer.status, _simulated(text), text)


def _unverified() -> ssl.SSLContext:
    """Return a context without verification: the API server's tunnel leads to the right pod, and
    the pod's own certificate is self-signed for no known name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _simulated(text: str) -> bool:
    """Return True for a sandbox's simulated response (docs/sandbox.md)."""
    try:
        body = json.loads(text)
    except ValueError:
        return False
    return isinstance(body, dict) and body.get("simulated") is True
