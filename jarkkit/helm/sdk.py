"""The SDK: imported late, pointed at one cluster and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jarkkit.errors import JarkkitError

# Helm's own limit (100 calls at once) makes a chart with seventy definitions wait for itself.
_BURST, _PER_SECOND = 400, 200.0


def load() -> Any:
    """The SDK's module. Raises JK-HELM-FAILED where there is none for this machine."""
    try:
        import helm_python
    except Exception as error:  # also its own, for a library that cannot be loaded
        raise JarkkitError(
            "JK-HELM-FAILED",
            "Helm's library cannot be loaded.",
            "It exists for Linux (x86-64, arm64) and for Macs with Apple silicon: use such a "
            "machine, and install the kit's requirements there.",
            evidence=str(error)[:600],
        ) from error
    return helm_python


@dataclass(frozen=True)
class Cluster:
    """Where releases live.

    Attributes:
        endpoint: URL of the API server.
        certificate_authority: whom to trust, PEM in base64.
        token: makes a bearer token; actions may take as long as it is accepted.
    """

    endpoint: str
    certificate_authority: str
    token: Callable[[], tuple[str, datetime]]

    @contextlib.contextmanager
    def config(self, namespace: str) -> Iterator[Any]:
        """The SDK's Config for one action, with a fresh token.

        With a kubeconfig of our own Helm reads no other, so that neither the user's contexts nor
        HELM_… variables matter. It holds the public part alone: the SDK writes it to a file.
        """
        token, _ = self.token()
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

    def forget_discovery(self, environ: Mapping[str, str] = os.environ) -> None:
        """Delete what Helm and kubectl keep on disk about the kinds of this address.

        On a port that was used before they would find kinds of an earlier cluster.
        """
        shutil.rmtree(discovery_cache(self.endpoint, environ), ignore_errors=True)


def discovery_cache(endpoint: str, environ: Mapping[str, str]) -> Path:
    """The folder that client-go has for an address (computeDiscoverCacheDir)."""
    named = environ.get("KUBECACHEDIR")
    cache = Path(named) if named else Path(environ.get("HOME", "~")).expanduser() / ".kube/cache"
    return cache / "discovery" / re.sub(r"[^(\w/.)]", "_", urlsplit(endpoint).netloc)
