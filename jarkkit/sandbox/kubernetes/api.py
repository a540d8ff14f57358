"""One cluster's API, for the sandbox's controllers: reads and writes by path, with dicts.

A thin layer on the library's HTTP client, and the only module through which the sandbox knows it.
A failed call is not retried, because the controllers reconcile again.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from jarkkit.ports.kube.discovery import ApiResource, Discovery
from jarkkit.ports.kube.errors import ApiError, ApiStatusError, NoResponseError
from jarkkit.ports.kube.http import ClientCertificate, HttpClient, Object, TokenProvider

__all__ = ["Api", "ApiError", "ApiStatusError", "NoResponseError", "Object", "admin_api", "key_of"]

_MANAGER = "sandbox"
_TYPES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
_HEALTH_SECONDS = 10.0


class Api:
    """One cluster's API. Safe to use from several threads.

    Args:
        endpoint: URL of the API server.
        authority: the CA certificate's file.
    """

    def __init__(
        self, endpoint: str, authority: Path, credentials: TokenProvider | ClientCertificate
    ) -> None:
        certificate_authority = base64.b64encode(authority.read_bytes()).decode()
        self.endpoint = endpoint
        self.calls = HttpClient(
            endpoint, certificate_authority, credentials, retry_seconds=0.0, agent=_MANAGER
        )
        self._kinds = Discovery(self.calls)

    # -- verbs ---------------------------------------------------------------------------------

    def get(self, path: str, **query: str) -> Object:
        """Return the object, list or document at that path. Raises ApiError."""
        return self.calls.json("GET", path, query=query)

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
        return self.calls.json("POST", path, body=obj)

    def apply(self, obj: Object) -> Object:
        """Apply an object server-side, by its own kind and name. Raises ApiError."""
        how = {"query": {"fieldManager": _MANAGER, "force": "true"}, "content": _TYPES["apply"]}
        return self.calls.json("PATCH", self.path_of(obj), body=obj, **how)

    def patch(self, path: str, change: Object, *, kind: str = "merge") -> Object:
        """Change an object by a `merge` or `strategic` patch. Raises ApiError."""
        return self.calls.json("PATCH", path, body=change, content=_TYPES[kind])

    def delete(self, path: str, **options: Any) -> None:
        """Delete an object; it need not exist. Raises ApiError."""
        try:
            self.calls.json("DELETE", path, body=options or None)
        except ApiError as error:
            if error.status != 404:
                raise

    def is_healthy(self) -> bool:
        """Return True when `/readyz` answers ok. Raises ApiError."""
        return self.calls.read("GET", "/readyz", read=_HEALTH_SECONDS) == b"ok"

    # -- names ---------------------------------------------------------------------------------

    def path_of(self, obj: Object) -> str:
        """Return an object's path, by its kind. Raises ApiError for a kind that is not served."""
        meta = obj["metadata"]
        resource = self._resource(obj["apiVersion"], obj["kind"])
        return resource.object_path(meta["name"], meta.get("namespace", ""))

    def collection_path(self, version: str, kind: str) -> str:
        """Return the path of all objects of a kind. Raises ApiError if it is not served."""
        return self._resource(version, kind).collection_path()

    def _resource(self, version: str, kind: str) -> ApiResource:
        found = self._kinds.find(version, kind)
        if found is None:
            raise ApiStatusError(404, "NotFound", f"no kind {kind} in {version}")
        return found


def admin_api(endpoint: str, pki: Path) -> Api:
    """Return the API with an administrator's rights. Raises OSError before the first start.

    Args:
        pki: kwokctl's folder of the cluster's certificates.
    """
    certificate = ClientCertificate(pki / "admin.crt", pki / "admin.key")
    return Api(endpoint, pki / "ca.crt", certificate)


def key_of(obj: Object) -> str:
    """Return `namespace/name`, or the name alone."""
    meta = obj["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else str(meta["name"])
