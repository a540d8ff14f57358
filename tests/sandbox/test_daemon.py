"""The sandbox's process: found, saved, restarted, killed and rejected."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import ClientError

from jarkkit.model.errors import JarkkitError
from jarkkit.sandbox import daemon_client, faults
from jarkkit.sandbox.api_calls import Call
from jarkkit.sandbox.daemon import Daemon, DaemonOptions
from tests.support.account import cluster, make_client
from tests.support.certificates import import_certificate
from tests.support.poll import wait_for


def test_the_state_and_port_survive_a_stop_and_a_start(tmp_path: Path) -> None:
    first = daemon_client.start(tmp_path, account_only=True, speed=50)
    try:
        eks = cluster(lambda service: make_client(first, service), "kept")
        kms = make_client(first, "kms")
        key = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
        names = ["hub.example.com"]
        certificate = {"CertificateArn": import_certificate(make_client(first, "acm"), names)}
        assert daemon_client.stop(tmp_path)
        assert not psutil.pid_exists(first.pid) or (
            psutil.Process(first.pid).status() == psutil.STATUS_ZOMBIE
        )
        again = daemon_client.start(tmp_path, account_only=True)
        assert again.endpoint == first.endpoint
        assert again.env["AWS_ACCESS_KEY_ID"] == first.env["AWS_ACCESS_KEY_ID"]
        eks = make_client(again, "eks")
        assert eks.describe_cluster(name="kept")["cluster"]["name"] == "kept"
        assert make_client(again, "kms").describe_key(KeyId=key)["KeyMetadata"]["KeyId"] == key
        kept = make_client(again, "acm").describe_certificate(**certificate)["Certificate"]
        assert kept["SubjectAlternativeNames"] == names
    finally:
        daemon_client.stop(tmp_path)


def test_a_killed_sandbox_loses_only_the_last_moments(tmp_path: Path) -> None:
    running = daemon_client.start(tmp_path, account_only=True)
    try:
        make_client(running, "s3", "us-east-1").create_bucket(Bucket="kept-bucket")
        wait_for((tmp_path / "account.pickle").exists, 20)
        os.kill(running.pid, signal.SIGKILL)
        psutil.Process(running.pid).wait(10)
        assert daemon_client.find(tmp_path) is None
        again = daemon_client.start(tmp_path, account_only=True)
        buckets = make_client(again, "s3", "us-east-1").list_buckets()["Buckets"]
        assert [bucket["Name"] for bucket in buckets] == ["kept-bucket"]
        daemon_client.stop(tmp_path)
        fresh = daemon_client.start(tmp_path, account_only=True, fresh=True)
        assert make_client(fresh, "s3", "us-east-1").list_buckets()["Buckets"] == []
    finally:
        daemon_client.stop(tmp_path)


class FailingDaemon(Daemon):
    """A daemon whose due work fails once; it stops after its first save."""

    caught_up = 0

    def _catch_up(self) -> None:
        self.caught_up += 1
        if self.caught_up == 1:
            raise KeyError("a deleted cluster")
        self._changed.set()

    def _save(self) -> float:
        self.stop()
        return 0.0


def test_due_work_that_fails_is_logged_and_the_next_change_is_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon = FailingDaemon(tmp_path, DaemonOptions())
    saver = threading.Thread(target=daemon._save_when_changed, daemon=True)
    saver.start()
    saver.join(30)
    assert daemon.caught_up == 2
    assert "KeyError: 'a deleted cluster'" in capsys.readouterr().err


def test_a_damaged_state_file_is_reported_and_kept(tmp_path: Path) -> None:
    (tmp_path / "account.pickle").write_bytes(b"not a pickle")
    with pytest.raises(JarkkitError) as caught:
        daemon_client.start(tmp_path, account_only=True)
    assert caught.value.code == "JK-SANDBOX-STATE"
    assert "--fresh" in caught.value.fix
    assert (tmp_path / "account.pickle").read_bytes() == b"not a pickle"


def test_a_running_sandbox_is_reused_only_with_the_same_options(
    sandbox: daemon_client.RunningSandbox,
) -> None:
    assert daemon_client.start(sandbox.home, account_only=True).pid == sandbox.pid
    with pytest.raises(JarkkitError) as caught:
        daemon_client.start(sandbox.home, speed=7, account_only=True)
    assert caught.value.code == "JK-SANDBOX-SPEED"


def test_a_sandbox_that_is_not_running_is_an_error(tmp_path: Path) -> None:
    assert daemon_client.find(tmp_path) is None
    assert daemon_client.stop(tmp_path) is False
    with pytest.raises(JarkkitError) as caught:
        daemon_client.status(tmp_path)
    assert caught.value.code == "JK-SANDBOX-MISSING"


# A sandbox of another version; its argument has the answers by command.
OTHER_VERSION = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        answer = json.loads(sys.argv[2]).get(self.path.rpartition("/")[2])
        self.send_response(500 if answer is None else 200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())
    def log_message(self, *words):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"status": {"calls": 0}, "limited-key": {"calls": 0}}, "another version"),
        ({"status": {"calls": 0}}, "did not answer"),
    ],
)
def test_a_sandbox_of_another_version_is_reported(
    tmp_path: Path,
    sandbox: daemon_client.RunningSandbox,
    answers: dict[str, object],
    words: str,
) -> None:
    command = [sys.executable, "-c", OTHER_VERSION, "jarkkit.sandbox", json.dumps(answers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            known = json.loads((sandbox.home / "sandbox.json").read_text())
            known |= {
                "pid": process.pid,
                "endpoint": f"http://127.0.0.1:{process.stdout.readline().strip()}",
            }
            (tmp_path / "sandbox.json").write_text(json.dumps(known))
            with pytest.raises(JarkkitError) as caught:
                daemon_client.limited_environment(tmp_path, "lab", {})
            assert caught.value.code == "JK-SANDBOX-MISSING"
            assert words in caught.value.message
            assert "jarkkit sandbox down" in caught.value.fix
            with pytest.raises(JarkkitError, match="another version"):
                daemon_client.is_limited(tmp_path)
        finally:
            process.kill()


def test_missing_packages_are_named_with_how_to_install_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_client, "EXTRA", ("moto", "no-such-package"))
    with pytest.raises(JarkkitError, match="no-such-package") as caught:
        daemon_client.start(tmp_path)
    assert caught.value.code == "JK-SANDBOX-EXTRA"
    assert 'pip install "jarkkit[sandbox]"' in caught.value.fix
    assert "make setup" in caught.value.fix


def test_a_port_in_use_is_reported(tmp_path: Path, sandbox: daemon_client.RunningSandbox) -> None:
    port = int(sandbox.endpoint.rsplit(":", 1)[1])
    with pytest.raises(JarkkitError) as caught:
        daemon_client.start(tmp_path, account_only=True, port=port)
    assert caught.value.code == "JK-SANDBOX-START"


def test_the_sandbox_listens_only_on_loopback_with_private_files(
    sandbox: daemon_client.RunningSandbox,
) -> None:
    listening = [
        c for c in psutil.Process(sandbox.pid).net_connections() if c.status == psutil.CONN_LISTEN
    ]
    assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}
    assert (sandbox.home / "sandbox.json").stat().st_mode & 0o777 == 0o600


def test_administrative_calls_need_the_token(sandbox: daemon_client.RunningSandbox) -> None:
    request = urllib.request.Request(f"{sandbox.endpoint}/jarkkit/stop", data=b"{}")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    caught.value.close()
    assert caught.value.code == 403
    assert daemon_client.find(sandbox.home) is not None


def test_every_call_is_in_the_log(sandbox: daemon_client.RunningSandbox) -> None:
    make_client(sandbox, "eks").list_clusters()
    lines = (sandbox.home / "calls.log").read_text().splitlines()
    assert ["eks", "ListClusters", 200, "learner"] in [json.loads(line)[1:] for line in lines]


class TestFaults:
    def test_every_fault_has_a_description_and_an_answer_in_every_format(self) -> None:
        for name in faults.FAULT_KINDS:
            (fault,) = faults.parse([name])
            assert fault.kind.title
            for service, xml in (("ec2", True), ("s3", True), ("iam", True), ("eks", False)):
                status, _, body = faults.rejection_response(
                    fault.kind, Call(service, "AnyOperation", xml)
                )
                assert fault.kind.unreachable or (status and body[0])

    @pytest.mark.parametrize(
        ("fault_text", "call", "expected"),
        [
            ("access-denied", ("eks", "CreateCluster"), True),
            ("access-denied:eks.CreateCluster", ("eks", "CreateCluster"), True),
            ("access-denied:eks.CreateCluster", ("eks", "DeleteCluster"), False),
            ("throttled:ec2", ("ec2", "DescribeVpcs"), True),
            ("throttled:ec2", ("eks", "ListClusters"), False),
            ("insufficient-capacity", ("ec2", "RunInstances"), True),
            ("insufficient-capacity", ("ec2", "CreateVpc"), False),
        ],
    )
    def test_a_fault_matches_the_named_calls(
        self, fault_text: str, call: tuple[str, str], expected: bool
    ) -> None:
        assert faults.parse([fault_text])[0].matches(Call(*call)) is expected

    def test_an_unknown_fault_is_rejected(self, sandbox: daemon_client.RunningSandbox) -> None:
        with pytest.raises(JarkkitError) as caught:
            daemon_client.set_faults(sandbox.home, ["no-such-fault"])
        assert caught.value.code == "JK-SANDBOX-FAULT"

    def test_rejections_have_each_services_own_format(self, tmp_path: Path) -> None:
        running = daemon_client.start(
            tmp_path, account_only=True, faults=["access-denied:sqs,eks.ListClusters"]
        )
        try:
            codes = []
            for call in (
                make_client(running, "sqs").list_queues,
                make_client(running, "eks").list_clusters,
            ):
                with pytest.raises(ClientError) as caught:
                    call()
                codes.append(caught.value.response["Error"]["Code"])
            assert all("AccessDenied" in code for code in codes)
            make_client(running, "ec2").describe_vpcs()
        finally:
            daemon_client.stop(tmp_path)
