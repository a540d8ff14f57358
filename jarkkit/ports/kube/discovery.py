"""Discovery of the cluster's API resources, cached in memory.

A cache on disk would return resources of earlier clusters that had the same address.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from jarkkit.ports.kube.errors import ApiStatusError
from jarkkit.ports.kube.http import HttpClient


@dataclass(frozen=True)
class ApiResource:
    """A kind as the API serves it.

    Attributes:
        root: path of the API group and version, such as `/apis/apps/v1`.
        plural: resource name, such as `deployments`.
    """

    root: str
    plural: str
    namespaced: bool

    def collection_path(self, namespace: str = "") -> str:
        """Return the path of all objects, or of one namespace's if the kind is namespaced."""
        if self.namespaced and namespace:
            return f"{self.root}/namespaces/{quote(namespace, safe='')}/{self.plural}"
        return f"{self.root}/{self.plural}"

    def object_path(self, name: str, namespace: str = "") -> str:
        """Return the path of one object; the namespace defaults to `default`."""
        return f"{self.collection_path(namespace or 'default')}/{quote(name, safe='')}"


class Discovery:
    """The API resources of a cluster.

    They are loaded on first use, and again when a kind is missing, because add-ons install CRDs
    while jarkkit runs.
    """

    def __init__(self, calls: HttpClient) -> None:
        self._calls = calls
        self._known: dict[str, dict[str, ApiResource]] = {}

    def find(self, api_version: str, kind: str) -> ApiResource | None:
        """Return the kind's resource; None if the API does not serve it.

        Raises ApiStatusError, NoResponseError.
        """
        known = self._known.get(api_version, {})
        if kind not in known:
            known = self._known[api_version] = self._ask(api_version)
        return known.get(kind)

    def invalidate(self, api_version: str) -> None:
        """Drop the cached resources of an API version."""
        self._known.pop(api_version, None)

    def _ask(self, api_version: str) -> dict[str, ApiResource]:
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            served = self._calls.json("GET", root)["resources"]
        except ApiStatusError as error:
            if error.status == 404:
                return {}
            raise
        return {
            resource["kind"]: ApiResource(root, resource["name"], resource["namespaced"])
            for resource in served
            if "/" not in resource["name"]  # a subresource
        }
