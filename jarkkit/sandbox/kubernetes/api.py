"""A client of one cluster's API server, for the sandbox's controllers: objects are plain dicts.

The official Python client turns every object into a validated model. For a controller that watches
ten thousand pods this costs more than its work, and one invalid object fails a whole list.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

Object = dict[str, Any]

_MANAGER = "sandbox"
_TYPES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


class ApiError(Exception):
    """The API server rejected a call, or did not answer (status 0).

    Attributes:
        status: HTTP status.
        reason: of Kubernetes, such as NotFound or Conflict.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class Credentials:
    """Client credentials: a CA to trust, and a client certificate or a bearer token."""

    authority: Path
    certificate: Path | None = None
    key: Path | None = None
    token: str = ""


class Api:
    """A client of one API server. Safe to use from several threads.

    Args:
        endpoint: URL of the API server.
    """

    def __init__(self, endpoint: str, credentials: Credentials) -> None:
        self.endpoint = endpoint
        self._kinds: dict[str, dict[str, tuple[str, bool]]] = {}
        self._token = credentials.token
        self._http = urllib3.PoolManager(
            maxsize=8,
            ca_certs=str(credentials.authority),
            cert_file=str(credentials.certificate) if credentials.certificate else None,
            key_file=str(credentials.key) if credentials.key else None,
            retries=False,
        )

    # -- verbs ---------------------------------------------------------------------------------

    def get(self, path: str, **query: str) -> Object:
        """Return the object, list or document at that path. Raises ApiError."""
        return self._json("GET", path, query=query)

    def find(self, path: str) -> Object | None:
        """Return the object at that path, None when it does not exist. Raises ApiError."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, path: str, **query: str) -> list[Object]:
        """Return all objects at that path. Raises ApiError."""
        return list(self.get(path, **query)["items"] or ())

    def create(self, path: str, obj: Object) -> Object:
        """Create an object. Raises ApiError."""
        return self._json("POST", path, body=obj)

    def apply(self, obj: Object, *, subresource: str = "") -> Object:
        """Apply an object server-side, by its own kind and name. Raises ApiError."""
        path = self.path_of(obj) + (f"/{subresource}" if subresource else "")
        query = {"fieldManager": _MANAGER, "force": "true"}
        return self._json("PATCH", path, body=obj, query=query, content=_TYPES["apply"])

    def patch(self, path: str, change: Object, *, kind: str = "merge") -> Object:
        """Change an object by a `merge` or `strategic` patch. Raises ApiError."""
        return self._json("PATCH", path, body=change, content=_TYPES[kind])

    def delete(self, path: str, **options: Any) -> None:
        """Delete an object; it need not exist. Raises ApiError."""
        try:
            self._json("DELETE", path, body=options or None)
        except ApiError as error:
            if error.status != 404:
                raise

    def watch(self, path: str, version: str, seconds: float, **query: str) -> Iterator[Object]:
        """Yield the watch events after a resource version, for at most so many seconds."""
        asked = {
            **query,
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": f"{seconds:.0f}",
        }
        answer = self._ask("GET", path, query=asked, stream=True, timeout=seconds + 15)
        try:
            for line in _lines(answer):
                yield json.loads(line)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiError(0, "NoAnswer", str(error)) from error
        finally:
            answer.close()

    def is_healthy(self) -> bool:
        """Return True when `/readyz` answers ok. Raises ApiError."""
        return bool(self._ask("GET", "/readyz", timeout=10).data == b"ok")

    # -- names ---------------------------------------------------------------------------------

    def path_of(self, obj: Object) -> str:
        """Return an object's path, by its kind. Raises ApiError for a kind that is not served."""
        version, kind = obj["apiVersion"], obj["kind"]
        plural, namespaced = self._kind(version, kind)
        meta = obj["metadata"]
        inside = f"/namespaces/{meta.get('namespace', 'default')}" if namespaced else ""
        return f"{_root(version)}{inside}/{plural}/{meta['name']}"

    def collection_path(self, version: str, kind: str) -> str:
        """Return the path of all objects of a kind. Raises ApiError if it is not served."""
        plural, _ = self._kind(version, kind)
        return f"{_root(version)}/{plural}"

    def _kind(self, version: str, kind: str) -> tuple[str, bool]:
        if kind not in self._kinds.get(version, {}):
            self._kinds[version] = {
                found["kind"]: (found["name"], found["namespaced"])
                for found in self.get(_root(version))["resources"]
                if "/" not in found["name"]
            }
        try:
            return self._kinds[version][kind]
        except KeyError:
            raise ApiError(404, "NotFound", f"no kind {kind} in {version}") from None

    # -- HTTP ----------------------------------------------------------------------------------

    def _json(self, method: str, path: str, **given: Any) -> Object:
        answer = self._ask(method, path, **given)
        return dict(json.loads(answer.data or b"{}"))

    def _ask(
        self,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        content: str = "application/json",
        stream: bool = False,
        timeout: float = 30.0,
    ) -> urllib3.BaseHTTPResponse:
        url = f"{self.endpoint}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Content-Type": content, "Accept": "application/json", "User-Agent": _MANAGER}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            answer = self._http.request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                preload_content=not stream,
                timeout=urllib3.Timeout(connect=5.0, read=timeout),
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiError(0, "NoAnswer", str(error)) from error
        if answer.status >= 400:
            raise _refused(answer)
        return answer


def _root(version: str) -> str:
    """Return the path of a group's version, such as `/apis/apps/v1`."""
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _lines(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    rest = b""
    for chunk in answer.stream(65536):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole


def _refused(answer: urllib3.BaseHTTPResponse) -> ApiError:
    try:
        status = json.loads(answer.data)
        return ApiError(answer.status, status.get("reason", ""), status.get("message", ""))
    except (ValueError, AttributeError):
        return ApiError(answer.status, "", answer.data.decode(errors="replace")[:300])


def key_of(obj: Object) -> str:
    """Return `namespace/name`, or the name alone."""
    meta = obj["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else str(meta["name"])
