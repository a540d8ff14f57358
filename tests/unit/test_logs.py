"""What the package logs, and what never appears in a log."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jarkkit.cli import app as cli
from jarkkit.cli import logging_setup
from jarkkit.model.errors import JarkkitError
from jarkkit.model.port_answers import ClusterToken
from jarkkit.ports.aws.session import AwsSession
from jarkkit.ports.kube.errors import NoResponseError
from jarkkit.ports.kube.http import HttpClient
from jarkkit.ports.terraform import Terraform
from tests.support.authority import CA_CERTIFICATE

ROOT = Path(__file__).parents[2]
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI"}


@pytest.fixture(autouse=True)
def level() -> Iterator[None]:
    """No test leaves the logger as another one does not expect it."""
    logger = logging.getLogger("jarkkit")
    before = logger.level, list(logger.handlers)
    yield
    assert (logger.level, logger.handlers) == before


def test_an_import_adds_no_handler() -> None:
    program = (
        "import logging, jarkkit.deployment\n"
        "names = ('', 'jarkkit')\n"
        "assert not any(logging.getLogger(name).handlers for name in names)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


@pytest.mark.parametrize(
    ("options", "stderr", "file"),
    [
        ({"verbose": 1}, "info", ""),
        ({"verbose": 2}, "info debug", ""),
        ({"debug": True}, "info debug", ""),
        ({"file": True}, "", "info"),
        ({"file": True, "debug": True}, "info debug", "info debug"),
    ],
)
def test_what_is_written_where(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: dict[str, int | bool],
    stderr: str,
    file: str,
) -> None:
    path = tmp_path / "jarkkit.log"
    stop = logging_setup.start(
        verbose=int(options.get("verbose", 0)),
        debug=bool(options.get("debug")),
        file=path if options.get("file") else None,
    )
    logger = logging.getLogger("jarkkit.steps.x")
    logger.info("info")
    logger.debug("debug")
    stop()
    logger.info("after")
    written = path.read_text() if path.exists() else ""
    for text, words in ((capsys.readouterr().err, stderr), (written, file)):
        assert [line.rpartition(" ")[2] for line in text.splitlines()] == words.split()


def test_the_file_is_private_and_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "jarkkit.log"
    for _ in range(2):
        stop = logging_setup.start(verbose=0, debug=False, file=path)
        logging.getLogger("jarkkit").info("arn:aws:iam::123456789012:role/x")
        stop()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().count("arn:aws:iam::1234…9012:role/x") == 2


def test_a_file_that_cannot_be_written_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(JarkkitError, match="Cannot write"):
        logging_setup.start(verbose=0, debug=False, file=tmp_path / "none" / "x.log")
    assert cli._run(["--log-file", str(tmp_path / "none" / "x.log"), "doctor"]) == 2


def test_the_options_are_those_of_every_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli._run(["--debug", "--log-file", str(tmp_path / "x.log"), "errors"]) == 0
    assert not logging.getLogger("jarkkit").handlers
    assert "JK-" in capsys.readouterr().out


def test_a_call_to_aws_is_logged_without_its_parameters(caplog: pytest.LogCaptureFixture) -> None:
    environ = {**CREDENTIALS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    client = AwsSession("us-west-2", environ).client("sts")
    client.meta.events.register("before-send", lambda **_: _response())
    with caplog.at_level(logging.DEBUG, logger="jarkkit"):
        client.get_caller_identity()
        client.get_access_key_info(AccessKeyId="AKIASECRET0123456789")
    ours = [record for record in caplog.records if record.name.startswith("jarkkit")]
    assert [record.getMessage().partition(" (")[0] for record in ours] == [
        "sts:GetCallerIdentity in us-west-2: ok",
        "sts:GetAccessKeyInfo in us-west-2: ok",
    ]


def test_a_call_without_an_answer_is_logged_with_its_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = AwsSession("us-west-2", CREDENTIALS).client("sts")

    def lost(**_: object) -> None:
        raise OSError("connection reset")

    client.meta.events.register("before-send", lost)
    with caplog.at_level(logging.DEBUG, logger="jarkkit"), pytest.raises(Exception):  # noqa: B017, PT011
        client.get_caller_identity()
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("jarkkit")]
    assert len(ours) == 1
    assert ours[0].startswith("sts:GetCallerIdentity in us-west-2: ")


def test_a_call_to_a_cluster_is_logged_without_its_body(caplog: pytest.LogCaptureFixture) -> None:
    later = datetime.now(UTC) + timedelta(minutes=9)
    client = HttpClient(
        "https://127.0.0.1:9",
        CA_CERTIFICATE,
        lambda: ClusterToken("secret-token", later),
        0.0,
    )
    path = "/api/v1/namespaces/x/secrets"
    with caplog.at_level(logging.DEBUG, logger="jarkkit"), pytest.raises(NoResponseError):
        client.json("POST", path, body={"data": "secret-data"}, query={"dryRun": "All"})
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("jarkkit")]
    assert {text.partition(" (")[0] for text in ours} == {f"POST {path}: no response"}


def test_a_terraform_command_line_is_logged_without_account_ids(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program = tmp_path / "terraform"
    program.write_text('#!/bin/sh\necho \'{"terraform_version": "1.12.0"}\'\n')
    program.chmod(0o755)
    environ = {"JARKKIT_TERRAFORM": str(program), "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI"}
    terraform = Terraform(tmp_path, environ, lambda name: tmp_path / f"{name}.log")
    with caplog.at_level(logging.INFO, logger="jarkkit"):
        terraform.untaint('aws_iam_role.x["123456789012"]')
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.getMessage() == (
        f"{tmp_path.name}: terraform untaint 'aws_iam_role.x[\"1234…9012\"]'"
    )


def _response() -> object:
    from botocore.awsrequest import AWSResponse, HTTPHeaders

    class Raw:
        def stream(self) -> Iterator[bytes]:
            yield b"<R><GetCallerIdentityResult/><GetAccessKeyInfoResult/></R>"

    return AWSResponse("http://127.0.0.1:9", 200, HTTPHeaders(), Raw())
