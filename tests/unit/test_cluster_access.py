"""The kubeconfig of a deployment and what its command prints."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime

from jarkkit.aws.session import Session
from jarkkit.aws.token import cluster_token
from jarkkit.cluster.access import exec_credential, kubeconfig

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


def test_a_second_token_is_as_good_as_the_first() -> None:
    """Nothing of one may get into the next: the signature would cover the header twice."""
    environ = {"AWS_ACCESS_KEY_ID": "learner", "AWS_SECRET_ACCESS_KEY": "secret"}
    session = Session("us-west-2", environ)
    made = datetime(2026, 1, 2, tzinfo=UTC)
    while True:
        tokens = [cluster_token(session, name, made)[0] for name in ("demo", "other", "demo")]
        dates = {re.search("X-Amz-Date=([^&]*)", url_of(token)) for token in tokens}
        if len({date.group(1) for date in dates if date}) == 1:
            break
    assert tokens[0] == tokens[2] != tokens[1]


def url_of(token: str) -> str:
    text = token.removeprefix("k8s-aws-v1.")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
