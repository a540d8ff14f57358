"""The kubeconfig of a deployment and the output of its exec command."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime

from jarkkit.ports.aws.cluster_token import cluster_token
from jarkkit.ports.aws.session import AwsSession
from jarkkit.steps.cluster.kubeconfig import exec_credential, kubeconfig

OUTPUTS = {
    "cluster_name": "demo",
    "cluster_endpoint": "https://127.0.0.1:1",
    "cluster_certificate_authority": "Q0E=",
}


def test_the_kubeconfig_names_one_cluster_and_runs_the_token_command() -> None:
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


def test_the_command_prints_a_credential_with_its_expiry() -> None:
    printed = json.loads(exec_credential("secret", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)))
    assert printed["kind"] == "ExecCredential"
    assert printed["status"] == {
        "token": "secret",
        "expirationTimestamp": "2026-01-02T03:04:05Z",
    }


def test_a_second_token_equals_the_first() -> None:
    """A token must not leak into the next one: the signature would cover the header twice."""
    environ = {"AWS_ACCESS_KEY_ID": "learner", "AWS_SECRET_ACCESS_KEY": "secret"}
    session = AwsSession("us-west-2", environ)
    made = datetime(2026, 1, 2, tzinfo=UTC)
    while True:
        tokens = [cluster_token(session, name, made).token for name in ("demo", "other", "demo")]
        dates = {re.search("X-Amz-Date=([^&]*)", url_of(token)) for token in tokens}
        if len({date.group(1) for date in dates if date}) == 1:
            break
    assert tokens[0] == tokens[2] != tokens[1]


def url_of(token: str) -> str:
    text = token.removeprefix("k8s-aws-v1.")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
