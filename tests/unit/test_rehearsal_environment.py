"""The environment of a rehearsal: no AWS variable of the user reaches Terraform or the SDK."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jarkkit.decisions.rehearsal_environment import (
    NO_SANDBOX_ENDPOINT,
    names_a_sandbox,
    rehearsal_environment,
)
from jarkkit.deployment import Deployment
from jarkkit.model.errors import JarkkitError
from jarkkit.ports.aws import Account
from jarkkit.ports.aws.session import AwsSession

# Each of these sends calls to the real AWS, or makes the SDKs read a profile or a login.
OF_THE_USER = {
    "AWS_ENDPOINT_URL_EC2": "https://ec2.us-west-2.amazonaws.com",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "AWS_PROFILE": "work",
    "AWS_DEFAULT_PROFILE": "work",
    "AWS_CONFIG_FILE": "/home/ann/.aws/config",
    "AWS_SHARED_CREDENTIALS_FILE": "/home/ann/.aws/credentials",
    "AWS_SESSION_TOKEN": "real",
    "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/ci",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/token",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_S3_USE_ARN_REGION": "true",
}
SANDBOX = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:4000",
    "AWS_ACCESS_KEY_ID": "AKIASANDBOX",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "",
    "JARKKIT_ACCOUNT_CACHE": "/tmp/cache",
}
ISOLATED = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def aws(environ: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith("AWS_")}


class TestRehearsalEnvironment:
    @pytest.mark.parametrize("name", OF_THE_USER)
    def test_only_the_sandbox_s_variables_are_left(self, name: str) -> None:
        found = rehearsal_environment({name: OF_THE_USER[name], "HOME": "/home/ann"}, SANDBOX)
        filled = {name: value for name, value in aws(SANDBOX).items() if value}
        assert aws(found) == {**filled, **ISOLATED}
        assert (found["HOME"], found["JARKKIT_ACCOUNT_CACHE"]) == ("/home/ann", "/tmp/cache")

    def test_a_sandbox_in_the_shell_is_used_without_the_other_variables(self) -> None:
        shell = {**OF_THE_USER, **SANDBOX, "AWS_ENDPOINT_URL": "http://localhost:4001"}
        found = aws(rehearsal_environment(shell, None))
        assert found["AWS_ENDPOINT_URL"] == "http://localhost:4001"
        assert found["AWS_ACCESS_KEY_ID"] == "AKIASANDBOX"
        assert not found.keys() & OF_THE_USER.keys() - ISOLATED.keys()

    def test_an_endpoint_elsewhere_is_no_sandbox(self) -> None:
        shell = {
            **OF_THE_USER,
            "AWS_ENDPOINT_URL": "https://vpce-1.ec2.us-west-2.vpce.amazonaws.com",
        }
        assert not names_a_sandbox(shell)
        assert rehearsal_environment(shell, None)["AWS_ENDPOINT_URL"] == NO_SANDBOX_ENDPOINT
        assert rehearsal_environment(shell, SANDBOX)["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4000"

    def test_an_opened_rehearsal_has_it(self, tmp_path: Path) -> None:
        environ = {**OF_THE_USER, "JARKKIT_HOME": str(tmp_path)}
        Deployment.create("lab", rehearsal=True, home=tmp_path, environ=environ)
        opened = Deployment.open("lab", home=tmp_path, environ=environ)
        assert aws(dict(opened._environ)) == {
            "AWS_ENDPOINT_URL": NO_SANDBOX_ENDPOINT,
            "AWS_ACCESS_KEY_ID": "rehearsal",
            "AWS_SECRET_ACCESS_KEY": "rehearsal",
            **ISOLATED,
        }

    def test_a_deployment_in_an_account_keeps_the_user_s_environment(self, tmp_path: Path) -> None:
        opened = Deployment.create("lab", rehearsal=False, home=tmp_path, environ=OF_THE_USER)
        assert dict(opened._environ) == OF_THE_USER


class TestSdk:
    def test_clients_ignore_variables_of_the_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in OF_THE_USER.items():
            monkeypatch.setenv(name, value)
        environ = rehearsal_environment(OF_THE_USER, SANDBOX)
        client = AwsSession("us-west-2", environ).client("ec2")
        assert client.meta.endpoint_url == "http://127.0.0.1:4000"
        assert not client.meta.config.use_fips_endpoint

    @pytest.mark.parametrize("name", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
    def test_a_misspelled_profile_is_reported_by_every_call(
        self, name: str, tmp_path: Path
    ) -> None:
        config = tmp_path / "config"
        config.write_text("[profile work]\nregion = us-west-2\n")
        account = Account("us-west-2", {name: "wrok", "AWS_CONFIG_FILE": str(config)})
        for call in (account.known_regions, account.caller):
            with pytest.raises(JarkkitError, match="wrok") as raised:
                call()
            assert raised.value.code == "JK-AWS-NO-CREDENTIALS"
