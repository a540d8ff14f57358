"""The install state of a deployment's cluster, saved before each change."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from typing import Any

from jarkkit.model.records import AddonState, ClusterState
from jarkkit.ports.workspace import Workspace

_FILE = "cluster"


class InstallState:
    """`cluster.json` in the deployment's folder. Thread-safe.

    It ignores the state of an earlier cluster with the same name.
    """

    def __init__(self, workspace: Workspace, outputs: Mapping[str, Any]) -> None:
        self._workspace = workspace
        # Every cluster has its own certificate authority, while its endpoint may change.
        authority = str(outputs["cluster_certificate_authority"])
        self._cluster = hashlib.sha256(authority.encode()).hexdigest()[:16]
        self._lock = threading.Lock()

    def load(self) -> ClusterState:
        """Return the saved state; empty for a new cluster."""
        saved = self._workspace.load(_FILE, ClusterState)
        if saved is None or saved.cluster != self._cluster:
            return ClusterState(cluster=self._cluster)
        return saved

    def pin_ami_version(self, ami_version: str, cluster_version: str) -> None:
        """Save which AMI version nodes are launched with, before they are."""
        images = {"ami_version": ami_version, "cluster_version": cluster_version}
        with self._lock:
            self._workspace.save(_FILE, self.load().model_copy(update=images))

    def save_addon(self, name: str, installed: AddonState | None) -> None:
        """Save the record of an add-on; None deletes it."""
        with self._lock:
            saved = self.load()
            addons = {n: a for n, a in saved.addons.items() if n != name}
            if installed is not None:
                addons[name] = installed
            self._workspace.save(_FILE, saved.model_copy(update={"addons": addons}))
