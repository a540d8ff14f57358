"""The sandbox's process: found, saved, restarted, killed, refused."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import ClientError

from jarkkit.errors import JarkkitError
from jarkkit.sandbox import control, faults
from jarkkit.sandbox.calls import Call
from tests.sandbox.test_account import cluster, make_client


def test_state_survives_down_and_up_on_the_same_port(tmp_path: Path) -> None:
    first = control.start(tmp_path, account_only=True, speed=50)
    try:
        eks = cluster(lambda service: make_client(first, service), "kept")
        kms = make_client(first, "kms")
        key = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
        assert control.stop(tmp_path)
        assert not psutil.pid_exists(first.pid) or (
            psutil.Process(first.pid).status() == psutil.STATUS_ZOMBIE
        )
        again = control.start(tmp_path, account_only=True)
        assert again.endpoint == first.endpoint
        assert again.env["AWS_ACCESS_KEY_ID"] == first.env["AWS_ACCESS_KEY_ID"]
        eks = make_client(again, "eks")
        assert eks.describe_cluster(name="kept")["cluster"]["name"] == "kept"
        assert make_client(again, "kms").describe_key(KeyId=key)["KeyMetadata"]["KeyId"] == key
    finally:
        control.stop(tmp_path)


def test_sigkill_loses_next_to_nothing(tmp_path: Path) -> None:
    running = control.start(tmp_path, account_only=True)
    try:
        make_client(running, "s3", "us-east-1").create_bucket(Bucket="kept-bucket")
        deadline = time.monotonic() + 20
        while not (tmp_path / "account.pickle").exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        os.kill(running.pid, signal.SIGKILL)
        psutil.Process(running.pid).wait(10)
        assert control.find(tmp_path) is None
        again = control.start(tmp_path, account_only=True)
        buckets = make_client(again, "s3", "us-east-1").list_buckets()["Buckets"]
        assert [bucket["Name"] for bucket in buckets] == ["kept-bucket"]
        control.stop(tmp_path)
        fresh = control.start(tmp_path, account_only=True, fresh=True)
        assert make_client(fresh, "s3", "us-east-1").list_buckets()["Buckets"] == []
    finally:
        control.stop(tmp_path)


def test_a_damaged_memory_is_told_and_kept(tmp_path: Path) -> None:
    (tmp_path / "account.pickle").write_bytes(b"not a pickle")
    with pytest.raises(JarkkitError) as caught:
        control.start(tmp_path, account_only=True)
    assert caught.value.code == "JK-SANDBOX-STATE"
    assert "--fresh" in caught.value.fix
    assert (tmp_path / "account.pickle").read_bytes() == b"not a pickle"


def test_one_that_runs_is_taken_as_it_is_or_refused(sandbox: control.Running) -> None:
    assert control.start(sandbox.home, account_only=True).pid == sandbox.pid
    with pytest.raises(JarkkitError) as caught:
        control.start(sandbox.home, speed=7, account_only=True)
    assert caught.value.code == "JK-SANDBOX-SPEED"


def test_none_is_running(tmp_path: Path) -> None:
    assert control.find(tmp_path) is None
    assert control.stop(tmp_path) is False
    with pytest.raises(JarkkitError) as caught:
        control.status(tmp_path)
    assert caught.value.code == "JK-SANDBOX-MISSING"


def test_a_port_in_use_is_told(tmp_path: Path, sandbox: control.Running) -> None:
    port = int(sandbox.endpoint.rsplit(":", 1)[1])
    with pytest.raises(JarkkitError) as caught:
        control.start(tmp_path, account_only=True, port=port)
    assert caught.value.code == "JK-SANDBOX-START"


def test_it_listens_on_loopback_only_and_its_files_are_private(sandbox: control.Running) -> None:
    listening = [
        c for c in psutil.Process(sandbox.pid).net_connections() if c.status == psutil.CONN_LISTEN
    ]
    assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}
    assert (sandbox.home / "sandbox.json").stat().st_mode & 0o777 == 0o600


def test_its_administration_needs_the_token(sandbox: control.Running) -> None:
    request = urllib.request.Request(f"{sandbox.endpoint}/jarkkit/stop", data=b"{}")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    caught.value.close()
    assert caught.value.code == 403
    assert control.find(sandbox.home) is not None


def test_every_call_is_in_the_log(sandbox: control.Running) -> None:
    make_client(sandbox, "eks").list_clusters()
    lines = (sandbox.home / "calls.log").read_text().splitlines()
    assert ["eks", "ListClusters", 200] in [json.loads(line)[1:] for line in lines]


class TestFaults:
    def test_each_says_what_it_does_and_answers_in_every_format(self) -> None:
        for name in faults.KINDS:
            (fault,) = faults.parse([name])
            assert fault.kind.title
            for service, xml in (("ec2", True), ("s3", True), ("iam", True), ("eks", False)):
                status, _, body = faults.refusal(fault.kind, Call(service, "AnyOperation", xml))
                assert fault.kind.unreachable or (status and body[0])

    @pytest.mark.parametrize(
        ("word", "call", "hit"),
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
    def test_it_hits_the_calls_that_are_named(
        self, word: str, call: tuple[str, str], hit: bool
    ) -> None:
        assert faults.parse([word])[0].hits(Call(*call)) is hit

    def test_an_unknown_one_is_refused(self, sandbox: control.Running) -> None:
        with pytest.raises(JarkkitError) as caught:
            control.set_faults(sandbox.home, ["no-such-fault"])
        assert caught.value.code == "JK-SANDBOX-FAULT"

    def test_refusals_come_in_the_services_own_words(self, tmp_path: Path) -> None:
        running = control.start(
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
            control.stop(tmp_path)
