"""The kubeconfig of a deployment: its own file, so that the user's contexts are never touched.

It holds no secret: kubectl asks the kit for a token each time (an exec credential plugin,
https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from jarkkit.records import Cluster

_API = "client.authentication.k8s.io/v1"


def kubeconfig(cluster: Cluster, command: Sequence[str]) -> dict[str, Any]:
    """The file's content.

    Args:
        command: prints the ExecCredential.
    """
    name = cluster.name
    execute = {
        "apiVersion": _API,
        "command": command[0],
        "args": list(command[1:]),
        "interactiveMode": "Never",
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": cluster.endpoint,
                    "certificate-authority-data": cluster.certificate_authority,
                },
            }
        ],
        "users": [{"name": name, "user": {"exec": execute}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def exec_credential(token: str, until: datetime) -> str:
    """What the command prints."""
    status = {"token": token, "expirationTimestamp": until.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return json.dumps({"apiVersion": _API, "kind": "ExecCredential", "status": status})
