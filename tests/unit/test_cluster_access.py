"""The kubeconfig of a deployment and what its command prints."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from jarkkit.cluster_access import exec_credential, kubeconfig

OUTPUTS = {
    "cluster_name": "demo",
    "cluster_endpoint": "https://127.0.0.1:1",
    "cluster_certificate_authority": "Q0E=",
}


def test_it_names_one_cluster_and_asks_for_its_token() -> None:
    made = kubeconfig(OUTPUTS, ("python", "-m", "jarkkit", "token", "demo"))
    (cluster,), (user,), (context,) = made["clusters"], made["users"], made["contexts"]
    assert cluster["cluster"] == {
        "server": "https://127.0.0.1:1",
        "certificate-authority-data": "Q0E=",
    }
    assert made["current-context"] == context["name"] == "demo"
    assert user["user"]["exec"]["command"] == "python"
    assert user["user"]["exec"]["args"] == ["-m", "jarkkit", "token", "demo"]
    assert set(user["user"]) == {"exec"}


def test_the_command_prints_a_credential_with_its_end() -> None:
    printed = json.loads(exec_credential("secret", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)))
    assert printed["kind"] == "ExecCredential"
    assert printed["status"] == {
        "token": "secret",
        "expirationTimestamp": "2026-01-02T03:04:05Z",
    }
