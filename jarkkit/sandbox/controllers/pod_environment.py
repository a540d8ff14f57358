"""The environment of a process that runs in place of a pod.

It contains what kubelet and EKS set, and what keeps the process from leaving this machine.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from jarkkit.sandbox.cluster_host import POD_IDENTITY
from jarkkit.sandbox.controllers import pod_identity
from jarkkit.sandbox.controllers.cluster_context import ClusterContext
from jarkkit.sandbox.controllers.host_pod import HostPod
from jarkkit.sandbox.kubernetes.api import Object
from jarkkit.sandbox.private_files import HOME_VARIABLE, write_private

UNREACHABLE_PROXY = (
    "http://127.0.0.1:9"  # the discard port: nothing beyond this machine is reachable
)
_RENEW_SECONDS = 6 * 3600.0
_TOKEN_SECONDS = 24 * 3600


class PodEnvironment:
    """Builds environments, and the files that they name, in the pods' own folders."""

    def __init__(self, cluster: ClusterContext) -> None:
        self._cluster = cluster

    def build(self, pod: HostPod, proxy: str = UNREACHABLE_PROXY) -> dict[str, str]:
        """Return all variables but those of the pod's own specification.

        Args:
            proxy: for plain HTTP to anything beyond this machine.

        Raises ApiError.
        """
        host, port = self._cluster.api.endpoint.removeprefix("https://").split(":")
        return {
            "PATH": os.defpath,
            "HOME": str(pod.folder),
            "TMPDIR": str(pod.folder),
            "HOSTNAME": pod.manifest["metadata"]["name"],
            HOME_VARIABLE: str(self._cluster.sandbox.home),
            "KUBECONFIG": str(self._kubeconfig(pod)),
            "KUBERNETES_SERVICE_HOST": host,
            "KUBERNETES_SERVICE_PORT": port,
            "HTTP_PROXY": proxy,
            "HTTPS_PROXY": UNREACHABLE_PROXY,
            "NO_PROXY": "127.0.0.1,localhost",
            **self._aws(pod),
        }

    def _aws(self, pod: HostPod) -> dict[str, str]:
        """Return the account's endpoint, and credentials if Pod Identity has an association."""
        endpoint = self._cluster.sandbox.endpoint
        found = {"AWS_ENDPOINT_URL": endpoint, "AWS_EC2_METADATA_DISABLED": "true"}
        account = pod.manifest["spec"].get("serviceAccountName", "default")
        with self._cluster.read_account() as aws:
            role = pod_identity.associated_role(aws, self._cluster.name, pod.namespace, account)
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

    def _kubeconfig(self, pod: HostPod) -> Path:
        """Write a kubeconfig with the service account's token, in place of in-cluster files."""
        authority = self._cluster.control_plane.certificate_authority
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

    def _token(self, pod: HostPod, audience: str) -> Path:
        """Write a token of the pod's service account; an empty audience means the API server."""
        meta, account = pod.manifest["metadata"], pod.manifest["spec"].get("serviceAccountName")
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
        path = f"/api/v1/namespaces/{meta['namespace']}/serviceaccounts/{account}/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        token = self._cluster.api.create(path, request)["status"]["token"]
        file = pod.folder / f"token-{audience or 'api'}"
        write_private(file, token.encode())
        pod.tokens_renewed_at = time.time()
        return file

    def renew_tokens(self, pod: HostPod) -> None:
        """Write new tokens into the same files, long before the old ones expire."""
        if time.time() - pod.tokens_renewed_at > _RENEW_SECONDS:
            for file in list(pod.folder.glob("token-*")):
                audience = file.name.removeprefix("token-")
                self._token(pod, "" if audience == "api" else audience)
