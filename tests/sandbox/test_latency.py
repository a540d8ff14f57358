"""Latency and rate limits of calls, faults of one Region, and the cache of one start."""

from __future__ import annotations

import time
import timeit
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError

from jarkkit.sandbox import daemon_client, faults
from jarkkit.sandbox.api_calls import Call
from jarkkit.sandbox.throttling import Rate, Throttling, rate_of
from tests.support.account import make_client


@pytest.fixture
def paced_sandbox(sandbox: daemon_client.RunningSandbox) -> Iterator[daemon_client.RunningSandbox]:
    yield sandbox
    daemon_client.set_pace(sandbox.home, latency_ms=0, rate_limits=False)


def client_without_retries(
    running: daemon_client.RunningSandbox, service: str, region: str = "us-west-2"
) -> Any:
    """Return a client that does not retry."""
    return make_client(running, service, region, max_pool_connections=30)


class TestLatency:
    def test_every_call_has_the_latency_and_concurrent_calls_overlap(
        self, paced_sandbox: daemon_client.RunningSandbox
    ) -> None:
        ec2 = client_without_retries(paced_sandbox, "ec2")
        ec2.describe_vpcs()
        daemon_client.set_pace(paced_sandbox.home, latency_ms=300)
        began = time.monotonic()
        ec2.describe_vpcs()
        assert time.monotonic() - began >= 0.3
        began = time.monotonic()
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(lambda _: ec2.describe_vpcs(), range(10)))
        assert 0.3 <= time.monotonic() - began < 3.0  # one after the other
        daemon_client.set_pace(paced_sandbox.home, latency_ms=0)
        # The fastest of some calls: on a busy machine any one may take long.
        assert min(timeit.repeat(ec2.describe_vpcs, number=1, repeat=20)) < 0.3

    def test_latency_and_limits_are_set_by_each_start(self, tmp_path: Path) -> None:
        daemon_client.start(tmp_path, account_only=True, latency_ms=40, rate_limits=True)
        try:
            status = daemon_client.status(tmp_path)
            assert (status["latency_ms"], status["rate_limits"]) == (40, True)
            daemon_client.start(tmp_path, account_only=True, latency_ms=5)
            status = daemon_client.status(tmp_path)
            assert (status["latency_ms"], status["rate_limits"]) == (5, True)
        finally:
            daemon_client.stop(tmp_path)


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
    def test_rates_are_those_that_aws_publishes(
        self, service: str, operation: str, rate: Rate | None
    ) -> None:
        assert rate_of(Call(service, operation)) == rate

    def test_unfiltered_calls_have_a_lower_rate(self) -> None:
        call = Call("ec2", "DescribeInstances")
        assert rate_of(call, filtered=False) == Rate(50, 10)
        assert rate_of(call, filtered=True) == Rate(100, 20)

    def test_a_token_bucket_empties_and_refills(self) -> None:
        now = [0.0]
        throttling = Throttling(rate_limited=True, clock=lambda: now[0])
        call = Call("servicequotas", "GetServiceQuota", region="us-west-2")
        assert [throttling.exceeds_rate(call) for _ in range(12)] == [False] * 10 + [True] * 2
        assert not throttling.exceeds_rate(call._replace(region="eu-west-1"))
        assert not throttling.exceeds_rate(call._replace(operation="ListServiceQuotas"))
        now[0] += 0.4
        assert [throttling.exceeds_rate(call) for _ in range(3)] == [False, False, True]
        now[0] += 1000
        assert [throttling.exceeds_rate(call) for _ in range(11)] == [False] * 10 + [True]

    def test_no_call_is_throttled_without_rate_limits(self) -> None:
        call = Call("ec2", "RunInstances")
        assert not any(Throttling().exceeds_rate(call) for _ in range(100))

    @pytest.mark.parametrize(
        ("service", "code", "call"),
        [
            ("service-quotas", "TooManyRequestsException", lambda c: c.list_services()),
            ("eks", "ThrottlingException", lambda c: c.list_clusters()),
            ("iam", "Throttling", lambda c: c.list_roles()),
            ("ec2", "RequestLimitExceeded", lambda c: c.describe_volumes()),
        ],
    )
    def test_a_throttled_service_answers_with_its_own_code(
        self, paced_sandbox: daemon_client.RunningSandbox, service: str, code: str, call: Any
    ) -> None:
        client = client_without_retries(paced_sandbox, service)
        daemon_client.set_pace(paced_sandbox.home, rate_limits=True)

        def call_often() -> None:
            for _ in range(200):
                call(client)

        with pytest.raises(ClientError) as caught:
            call_often()
        assert caught.value.response["Error"]["Code"] == code

    def test_an_adaptive_client_succeeds_under_rate_limits(
        self, paced_sandbox: daemon_client.RunningSandbox
    ) -> None:
        daemon_client.set_pace(paced_sandbox.home, rate_limits=True)
        retry_config = {"mode": "adaptive", "total_max_attempts": 10}
        client = make_client(paced_sandbox, "service-quotas", "us-west-2", retries=retry_config)
        for _ in range(15):
            client.get_service_quota(ServiceCode="ec2", QuotaCode="L-1216C47A")


class TestFaultsOfARegion:
    @pytest.mark.parametrize(
        ("fault_text", "call", "expected"),
        [
            ("throttled:eu-west-1", ("ec2", "DescribeVpcs", "eu-west-1"), True),
            ("throttled:eu-west-1", ("ec2", "DescribeVpcs", "us-east-1"), False),
            ("access-denied:eks,eu-west-1", ("eks", "ListClusters", "eu-west-1"), True),
            ("access-denied:eks,eu-west-1", ("ec2", "DescribeVpcs", "eu-west-1"), False),
            ("access-denied:eks,eu-west-1", ("eks", "ListClusters", "us-east-1"), False),
            ("api-unreachable:ap-northeast-1,eu-west-1", ("eks", "A", "ap-northeast-1"), True),
        ],
    )
    def test_a_fault_matches_calls_in_its_region(
        self, fault_text: str, call: tuple[str, str, str], expected: bool
    ) -> None:
        service, operation, region = call
        fault = faults.parse([fault_text])[0]
        assert fault.matches(Call(service, operation, region=region)) is expected
        assert str(fault) == fault_text

    def test_only_the_region_of_the_fault_is_unreachable(
        self, sandbox: daemon_client.RunningSandbox
    ) -> None:
        daemon_client.set_faults(sandbox.home, ["api-unreachable:eu-west-3"])
        try:
            with pytest.raises((EndpointConnectionError, HTTPClientError)):
                client_without_retries(sandbox, "ec2", "eu-west-3").describe_vpcs()
            client_without_retries(sandbox, "ec2", "eu-west-2").describe_vpcs()
        finally:
            daemon_client.set_faults(sandbox.home, [])

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
    def test_every_service_has_its_own_error_code(
        self, fault: str, service: str, code: str
    ) -> None:
        line, _, _ = faults.rejection_response(faults.FAULT_KINDS[fault], Call(service, "A"))
        assert line.endswith(f" {code}")


def test_cached_answers_of_an_earlier_start_are_deleted(tmp_path: Path) -> None:
    first = daemon_client.start(tmp_path, account_only=True)
    try:
        cache = Path(first.env["JARKKIT_ACCOUNT_CACHE"])
        assert cache.parent == tmp_path.resolve()
        assert cache.stat().st_mode & 0o777 == 0o700
        (cache / "answer.json").write_text("{}")
        daemon_client.stop(tmp_path)
        again = Path(daemon_client.start(tmp_path, account_only=True).env["JARKKIT_ACCOUNT_CACHE"])
        assert (again.is_dir(), cache.exists()) == (True, False)
    finally:
        daemon_client.stop(tmp_path)
