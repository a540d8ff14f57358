"""Calls that take time and may be too many; faults of one Region; answers of one start."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError

from jarkkit.sandbox import control, faults
from jarkkit.sandbox.calls import Call
from jarkkit.sandbox.pace import Pace, Rate, rate_of
from tests.sandbox.test_account import make_client


@pytest.fixture
def paced(sandbox: control.Running) -> Iterator[control.Running]:
    yield sandbox
    control.set_pace(sandbox.home, latency_ms=0, rate_limits=False)


def impatient(running: control.Running, service: str, region: str = "us-west-2") -> Any:
    """A client that takes the first answer."""
    return make_client(running, service, region, max_pool_connections=30)


class TestLatency:
    def test_each_call_takes_it_and_calls_at_the_same_time_share_it(
        self, paced: control.Running
    ) -> None:
        ec2 = impatient(paced, "ec2")
        ec2.describe_vpcs()
        control.set_pace(paced.home, latency_ms=300)
        began = time.monotonic()
        ec2.describe_vpcs()
        assert time.monotonic() - began >= 0.3
        began = time.monotonic()
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(lambda _: ec2.describe_vpcs(), range(10)))
        assert 0.3 <= time.monotonic() - began < 1.5
        control.set_pace(paced.home, latency_ms=0)
        began = time.monotonic()
        ec2.describe_vpcs()
        assert time.monotonic() - began < 0.3

    def test_it_is_set_at_the_start_and_changed_by_another(self, tmp_path: Path) -> None:
        control.start(tmp_path, account_only=True, latency_ms=40, rate_limits=True)
        try:
            known = control.status(tmp_path)
            assert (known["latency_ms"], known["rate_limits"]) == (40, True)
            control.start(tmp_path, account_only=True, latency_ms=5)
            known = control.status(tmp_path)
            assert (known["latency_ms"], known["rate_limits"]) == (5, True)
        finally:
            control.stop(tmp_path)


class TestRates:
    @pytest.mark.parametrize(
        ("service", "operation", "rate"),
        [
            ("ec2", "DescribeRegions", Rate(100, 20)),
            ("ec2", "CreateVpc", Rate(50, 5)),
            ("ec2", "RunInstances", Rate(5, 2)),
            ("servicequotas", "GetServiceQuota", Rate(10, 5)),
            ("servicequotas", "ListServiceQuotas", Rate(20, 10)),
            ("pricing", "GetProducts", Rate(10, 5)),
            ("s3", "PutObject", None),
        ],
    )
    def test_they_are_those_that_aws_publishes(
        self, service: str, operation: str, rate: Rate | None
    ) -> None:
        assert rate_of(Call(service, operation)) == rate

    def test_who_asks_for_everything_may_ask_less(self) -> None:
        call = Call("ec2", "DescribeInstances")
        assert rate_of(call, narrowed=False) == Rate(50, 10)
        assert rate_of(call, narrowed=True) == Rate(100, 20)

    def test_a_bucket_empties_and_fills_again(self) -> None:
        now = [0.0]
        pace = Pace(limited=True, clock=lambda: now[0])
        call = Call("servicequotas", "GetServiceQuota", region="us-west-2")
        assert [pace.exceeded(call) for _ in range(12)] == [False] * 10 + [True] * 2
        assert not pace.exceeded(call._replace(region="eu-west-1"))
        assert not pace.exceeded(call._replace(operation="ListServiceQuotas"))
        now[0] += 0.4
        assert [pace.exceeded(call) for _ in range(3)] == [False, False, True]
        now[0] += 1000
        assert [pace.exceeded(call) for _ in range(11)] == [False] * 10 + [True]

    def test_without_limits_nothing_is_counted(self) -> None:
        call = Call("ec2", "RunInstances")
        assert not any(Pace().exceeded(call) for _ in range(100))

    @pytest.mark.parametrize(
        ("service", "code", "ask"),
        [
            ("service-quotas", "TooManyRequestsException", lambda c: c.list_services()),
            ("eks", "ThrottlingException", lambda c: c.list_clusters()),
            ("iam", "Throttling", lambda c: c.list_roles()),
            ("ec2", "RequestLimitExceeded", lambda c: c.describe_volumes()),
        ],
    )
    def test_a_service_that_is_asked_too_often_says_so_in_its_words(
        self, paced: control.Running, service: str, code: str, ask: Any
    ) -> None:
        client = impatient(paced, service)
        control.set_pace(paced.home, rate_limits=True)

        def ask_often() -> None:
            for _ in range(200):
                ask(client)

        with pytest.raises(ClientError) as caught:
            ask_often()
        assert caught.value.response["Error"]["Code"] == code

    def test_an_adaptive_client_gets_through(self, paced: control.Running) -> None:
        control.set_pace(paced.home, rate_limits=True)
        patient = {"mode": "adaptive", "total_max_attempts": 10}
        client = make_client(paced, "service-quotas", "us-west-2", retries=patient)
        for _ in range(15):
            client.get_service_quota(ServiceCode="ec2", QuotaCode="L-1216C47A")


class TestFaultsOfARegion:
    @pytest.mark.parametrize(
        ("word", "call", "hit"),
        [
            ("throttled:eu-west-1", ("ec2", "DescribeVpcs", "eu-west-1"), True),
            ("throttled:eu-west-1", ("ec2", "DescribeVpcs", "us-east-1"), False),
            ("access-denied:eks,eu-west-1", ("eks", "ListClusters", "eu-west-1"), True),
            ("access-denied:eks,eu-west-1", ("ec2", "DescribeVpcs", "eu-west-1"), False),
            ("access-denied:eks,eu-west-1", ("eks", "ListClusters", "us-east-1"), False),
            ("api-unreachable:ap-northeast-1,eu-west-1", ("eks", "A", "ap-northeast-1"), True),
        ],
    )
    def test_it_hits_calls_there(self, word: str, call: tuple[str, str, str], hit: bool) -> None:
        service, operation, region = call
        fault = faults.parse([word])[0]
        assert fault.hits(Call(service, operation, region=region)) is hit
        assert str(fault) == word

    def test_a_region_cannot_be_reached_and_the_others_can(self, sandbox: control.Running) -> None:
        control.set_faults(sandbox.home, ["api-unreachable:eu-west-3"])
        try:
            with pytest.raises((EndpointConnectionError, HTTPClientError)):
                impatient(sandbox, "ec2", "eu-west-3").describe_vpcs()
            impatient(sandbox, "ec2", "eu-west-2").describe_vpcs()
        finally:
            control.set_faults(sandbox.home, [])

    @pytest.mark.parametrize(
        ("fault", "service", "code"),
        [
            ("access-denied", "iam", "AccessDenied"),
            ("access-denied", "eks", "AccessDeniedException"),
            ("access-denied", "ec2", "UnauthorizedOperation"),
            ("expired-credentials", "sts", "ExpiredToken"),
            ("throttled", "servicequotas", "TooManyRequestsException"),
            ("throttled", "sqs", "ThrottlingException"),
        ],
    )
    def test_codes_are_the_services_own(self, fault: str, service: str, code: str) -> None:
        line, _, _ = faults.refusal(faults.KINDS[fault], Call(service, "A"))
        assert line.endswith(f" {code}")


def test_answers_of_an_earlier_start_are_gone(tmp_path: Path) -> None:
    first = control.start(tmp_path, account_only=True)
    try:
        cache = Path(first.env["JARKKIT_ACCOUNT_CACHE"])
        assert cache.parent == tmp_path.resolve()
        assert cache.stat().st_mode & 0o777 == 0o700
        (cache / "answer.json").write_text("{}")
        control.stop(tmp_path)
        again = Path(control.start(tmp_path, account_only=True).env["JARKKIT_ACCOUNT_CACHE"])
        assert (again.is_dir(), cache.exists()) == (True, False)
    finally:
        control.stop(tmp_path)
