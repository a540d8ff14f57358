"""The kubeconfig of a deployment: a separate file, so that the user's own contexts never change.

It holds no secret: kubectl asks jarkkit for a token each time (an exec credential plugin,
https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

_API = "client.authentication.k8s.io/v1"


def kubeconfig(outputs: Mapping[str, Any], command: Sequence[str]) -> dict[str, Any]:
    """Build the content of the kubeconfig file.

    Args:
        outputs: the deployment's Terraform outputs.
        command: the command that prints the ExecCredential.
    """
    name = outputs["cluster_name"]
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
                    "server": outputs["cluster_endpoint"],
                    "certificate-authority-data": outputs["cluster_certificate_authority"],
                },
            }
        ],
        "users": [{"name": name, "user": {"exec": execute}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def exec_credential(token: str, expires: datetime) -> str:
    """Return the ExecCredential that the plugin command prints, as JSON."""
    status = {"token": token, "expirationTimestamp": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return json.dumps({"apiVersion": _API, "kind": "ExecCredential", "status": status})
