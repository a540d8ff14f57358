"""Where the kinds of a cluster live. In memory only: a disk cache brings ghosts of earlier clusters
that had the same address."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from jarkkit.kube.http import Calls
from jarkkit.kube.problems import RefusedError


@dataclass(frozen=True)
class Resource:
    """A kind as the API serves it.

    Attributes:
        root: such as `/apis/apps/v1`.
        plural: such as `deployments`.
    """

    root: str
    plural: str
    namespaced: bool

    def collection(self, namespace: str = "") -> str:
        """The path of all; of one namespace, where the kind has namespaces and one is named."""
        if self.namespaced and namespace:
            return f"{self.root}/namespaces/{quote(namespace, safe='')}/{self.plural}"
        return f"{self.root}/{self.plural}"

    def path(self, name: str, namespace: str = "") -> str:
        """The path of one; without a namespace it is in `default`."""
        return f"{self.collection(namespace or 'default')}/{quote(name, safe='')}"


class Kinds:
    """What the API serves, asked for when it is first needed, and again when something is missing:
    add-ons bring definitions while we run."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._known: dict[str, dict[str, Resource]] = {}

    def find(self, api_version: str, kind: str) -> Resource | None:
        """None when it is not served. Raises RefusedError, NoAnswerError."""
        known = self._known.get(api_version, {})
        if kind not in known:
            known = self._known[api_version] = self._ask(api_version)
        return known.get(kind)

    def forget(self, api_version: str) -> None:
        """Ask again next time: what was known is gone."""
        self._known.pop(api_version, None)

    def _ask(self, api_version: str) -> dict[str, Resource]:
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            served = self._calls.json("GET", root)["resources"]
        except RefusedError as error:
            if error.status == 404:
                return {}
            raise
        return {
            resource["kind"]: Resource(root, resource["name"], resource["namespaced"])
            for resource in served
            if "/" not in resource["name"]  # a subresource
        }
