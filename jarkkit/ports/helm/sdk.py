"""The Helm SDK: imported lazily and configured for one cluster only."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jarkkit.model.errors import JarkkitError
from jarkkit.model.port_answers import ClusterToken

# Helm's default limit (a burst of 100 calls) slows down a chart with seventy CRDs.
_BURST, _PER_SECOND = 400, 200.0


def load() -> Any:
    """Import the SDK. Raises JK-HELM-FAILED if it does not support this machine."""
    try:
        import helm_python
    except Exception as error:  # also the SDK's own error for a missing library
        raise JarkkitError(
            "JK-HELM-FAILED",
            "Helm's library cannot be loaded.",
            "It supports Linux (x86-64, arm64) and Macs with Apple silicon: use such a machine and "
            "install jarkkit with its requirements there.",
            evidence=str(error)[:600],
        ) from error
    return helm_python


@dataclass(frozen=True)
class ClusterConnection:
    """Connection to the cluster of the releases.

    Attributes:
        endpoint: URL of the API server.
        certificate_authority: CA certificate, PEM in base64.
        token: returns a bearer token and its expiry, which limits the duration of an action.
    """

    endpoint: str
    certificate_authority: str
    token: Callable[[], ClusterToken]

    @contextlib.contextmanager
    def config(self, namespace: str) -> Iterator[Any]:
        """Yield the SDK's Config for one action, with a new token.

        With an explicit kubeconfig, Helm ignores your contexts and HELM_… variables. The kubeconfig
        contains no secrets, because the SDK writes it to a file.
        """
        token = self.token().token
        with load().Config(
            kubeconfig_content=json.dumps(self._kubeconfig(namespace)),
            kube_token=token,
            namespace=namespace,
            storage_driver="secret",
            burst_limit=_BURST,
            qps=_PER_SECOND,
        ) as config:
            yield config

    def _kubeconfig(self, namespace: str) -> dict[str, Any]:
        name = "jarkkit"
        cluster = {
            "server": self.endpoint,
            "certificate-authority-data": self.certificate_authority,
        }
        context = {"cluster": name, "user": name, "namespace": namespace}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": {}}],
            "contexts": [{"name": name, "context": context}],
            "current-context": name,
        }

    def clear_discovery_cache(self, environ: Mapping[str, str] = os.environ) -> None:
        """Delete the discovery cache of Helm and kubectl for this endpoint.

        On a reused port, they would otherwise find the API resources of an earlier cluster.
        """
        shutil.rmtree(discovery_cache(self.endpoint, environ), ignore_errors=True)


def discovery_cache(endpoint: str, environ: Mapping[str, str]) -> Path:
    """Return client-go's discovery cache folder for an endpoint (computeDiscoverCacheDir)."""
    named = environ.get("KUBECACHEDIR")
    cache = Path(named) if named else Path(environ.get("HOME", "~")).expanduser() / ".kube/cache"
    return cache / "discovery" / re.sub(r"[^(\w/.)]", "_", urlsplit(endpoint).netloc)
