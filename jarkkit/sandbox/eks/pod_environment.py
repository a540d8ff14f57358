"""The environment of a process that plays a pod: what kubelet and EKS put there, and what keeps
it on this machine."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from jarkkit.sandbox.cluster.api import Object
from jarkkit.sandbox.clusters import POD_IDENTITY
from jarkkit.sandbox.eks import pod_identity
from jarkkit.sandbox.eks.played_pod import Pod
from jarkkit.sandbox.files import MARK, write_private

if TYPE_CHECKING:
    from jarkkit.sandbox.eks.cluster import Cluster

NOWHERE = "http://127.0.0.1:9"  # what is not on this machine is not to be reached
_RENEW_SECONDS = 6 * 3600.0
_TOKEN_SECONDS = 24 * 3600


class PodEnvironment:
    """Makes environments, and the files that they name, in the pods' own folders."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def of(self, pod: Pod, proxy: str = NOWHERE) -> dict[str, str]:
        """Everything but what the pod itself says.

        Args:
            proxy: for plain HTTP to anything beyond this machine.

        Raises ApiError.
        """
        host, port = self._cluster.api.endpoint.removeprefix("https://").split(":")
        return {
            "PATH": os.defpath,
            "HOME": str(pod.folder),
            "TMPDIR": str(pod.folder),
            "HOSTNAME": pod.whole["metadata"]["name"],
            MARK: str(self._cluster.around.home),
            "KUBECONFIG": str(self._kubeconfig(pod)),
            "KUBERNETES_SERVICE_HOST": host,
            "KUBERNETES_SERVICE_PORT": port,
            "HTTP_PROXY": proxy,
            "HTTPS_PROXY": NOWHERE,
            "NO_PROXY": "127.0.0.1,localhost",
            **self._aws(pod),
        }

    def _aws(self, pod: Pod) -> dict[str, str]:
        """The account's endpoint; credentials only by an association, as its webhook adds them."""
        endpoint = self._cluster.around.endpoint
        found = {"AWS_ENDPOINT_URL": endpoint, "AWS_EC2_METADATA_DISABLED": "true"}
        account = pod.whole["spec"].get("serviceAccountName", "default")
        with self._cluster.read() as aws:
            role = pod_identity.role_of(aws, self._cluster.name, pod.namespace, account)
        if role is None:
            return found
        token = self._token(pod, pod_identity.AUDIENCE)
        path = f"{POD_IDENTITY}{self._cluster.spec.identity}/v1/credentials"
        return {
            **found,
            "AWS_REGION": self._cluster.region,
            "AWS_DEFAULT_REGION": self._cluster.region,
            "AWS_STS_REGIONAL_ENDPOINTS": "regional",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{endpoint}{path}",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
        }

    def _kubeconfig(self, pod: Pod) -> Path:
        """In a pod that is in-cluster configuration: the service account's token, a file."""
        authority = self._cluster.plane.certificate_authority
        known = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "it",
                    "cluster": {
                        "server": self._cluster.api.endpoint,
                        "certificate-authority-data": authority,
                    },
                }
            ],
            "users": [{"name": "it", "user": {"tokenFile": str(self._token(pod, ""))}}],
            "contexts": [
                {
                    "name": "it",
                    "context": {
                        "cluster": "it",
                        "user": "it",
                        "namespace": pod.namespace,
                    },
                }
            ],
            "current-context": "it",
        }
        path = pod.folder / "kubeconfig"
        write_private(path, json.dumps(known).encode())
        return path

    def _token(self, pod: Pod, audience: str) -> Path:
        """A file with a token of the pod's service account; an empty audience is the API server."""
        meta, account = pod.whole["metadata"], pod.whole["spec"].get("serviceAccountName")
        spec: Object = {
            "expirationSeconds": _TOKEN_SECONDS,
            "boundObjectRef": {
                "kind": "Pod",
                "apiVersion": "v1",
                "name": meta["name"],
                "uid": meta["uid"],
            },
        }
        if audience:
            spec["audiences"] = [audience]
        where = f"/api/v1/namespaces/{meta['namespace']}/serviceaccounts/{account}/token"
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        token = self._cluster.api.create(where, asked)["status"]["token"]
        path = pod.folder / f"token-{audience or 'api'}"
        write_private(path, token.encode())
        pod.renewed = time.time()
        return path

    def renew(self, pod: Pod) -> None:
        """New tokens in the same files, long before the old ones expire."""
        if time.time() - pod.renewed > _RENEW_SECONDS:
            for file in list(pod.folder.glob("token-*")):
                audience = file.name.removeprefix("token-")
                self._token(pod, "" if audience == "api" else audience)
