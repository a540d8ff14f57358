"""What was begun in a deployment's cluster, written down before it is done."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from typing import Any

from jarkkit.records import ClusterState, Installed
from jarkkit.workspace import Workspace

_FILE = "cluster"


class ClusterMemory:
    """`cluster.json` in the deployment's folder. Safe to use from several threads.

    What it holds of another cluster of the same name counts for nothing.
    """

    def __init__(self, workspace: Workspace, outputs: Mapping[str, Any]) -> None:
        self._workspace = workspace
        # Every cluster has an authority of its own; its address may change.
        authority = str(outputs["cluster_certificate_authority"])
        self._cluster = hashlib.sha256(authority.encode()).hexdigest()[:16]
        self._lock = threading.Lock()

    def load(self) -> ClusterState:
        """What is known; empty for a new cluster."""
        saved = self._workspace.load(_FILE, ClusterState)
        if saved is None or saved.cluster != self._cluster:
            return ClusterState(cluster=self._cluster)
        return saved

    def pin(self, ami_version: str, cluster_version: str) -> None:
        """Write down which machine images are launched, before they are."""
        images = {"ami_version": ami_version, "cluster_version": cluster_version}
        with self._lock:
            self._workspace.save(_FILE, self.load().model_copy(update=images))

    def remember(self, name: str, installed: Installed | None) -> None:
        """Write down what is being done to an add-on; None when it is gone."""
        with self._lock:
            saved = self.load()
            addons = {n: a for n, a in saved.addons.items() if n != name}
            if installed is not None:
                addons[name] = installed
            self._workspace.save(_FILE, saved.model_copy(update={"addons": addons}))
