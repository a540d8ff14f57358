"""What AWS answers seldom, and no pretend account does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from jarkkit.aws.answers import Answer
from jarkkit.aws.instance_types import InstanceTypes
from jarkkit.aws.quotas import Quotas
from jarkkit.aws.session import Session
from jarkkit.aws.usage import Usage
from jarkkit.errors import JarkkitError
from jarkkit.quotas.codes import QUOTAS
from jarkkit.quotas.values import InForce
from jarkkit.records import InstanceType

STANDARD, GPU = "L-1216C47A", "L-DB2E81BA"


class FakeClient:
    """Answers by operation; nothing has pages."""

    def __init__(self, **answers: dict[str, Any]) -> None:
        self._answers = answers
        self.meta = SimpleNamespace(method_to_api_mapping={name: name for name in answers})

    def can_paginate(self, _operation: str) -> bool:
        return False

    def __getattr__(self, operation: str) -> Callable[..., dict[str, Any]]:
        return lambda **_: self._answers[operation]


class FakeSession:
    """One client for all services; remembers nothing."""

    region = "us-east-1"

    def __init__(self, **answers: dict[str, Any]) -> None:
        self._client = FakeClient(**answers)

    def elsewhere(self, _region: str) -> FakeSession:
        return self

    def client(self, _service: str) -> FakeClient:
        return self._client

    def identity(self) -> dict[str, str]:
        return {"Account": "111122223333"}

    def remembered(self, _question: str, _age: float, ask: Callable[[], Any]) -> Answer:
        return Answer(ask(), datetime(2026, 11, 27, tzinfo=UTC))


class FakeTypes:
    """All instances have four vCPUs."""

    def matching(self, names: Iterator[str]) -> dict[str, InstanceType]:
        return {name: InstanceType(name=name, vcpus=4) for name in names}


def test_a_quota_that_is_listed_without_a_value_is_not_known_and_has_no_default() -> None:
    reason = {"ErrorCode": "DEPENDENCY_SERVICE_ERROR"}
    applied = [{"QuotaCode": STANDARD, "ErrorReason": reason}, {"QuotaCode": GPU, "Value": 8.0}]
    session = FakeSession(
        list_service_quotas={"Quotas": applied},
        list_aws_default_service_quotas={"Quotas": [{"QuotaCode": STANDARD, "Value": 5.0}]},
    )
    quotas = Quotas(cast("Session", session))
    found = quotas.in_force([QUOTAS[STANDARD], QUOTAS[GPU]])
    assert isinstance(found[STANDARD], JarkkitError)
    assert isinstance(found[GPU], InForce)


def test_dedicated_hosts_take_no_vcpus_of_the_quotas() -> None:
    usual = {"InstanceType": "p5.4xlarge", "Placement": {"Tenancy": "default"}}
    instances = [usual, {**usual, "Placement": {"Tenancy": "host"}}]
    session = FakeSession(
        describe_instances={"Reservations": [{"Instances": instances}]},
        describe_capacity_reservations={"CapacityReservations": []},
    )
    usage = Usage(cast("Session", session), cast("InstanceTypes", FakeTypes()))
    (running,) = usage.running("mine")
    assert (running.count, running.purchase) == (1, "on-demand")


def test_what_is_set_aside_and_unused_counts_as_running() -> None:
    usual = {
        "InstanceType": "g6.xlarge",
        "CapacityReservationId": "cr-1",
        "AvailableInstanceCount": 3,
        "OwnerId": "111122223333",
        "ReservationType": "default",
    }
    found = [
        usual,
        {**usual, "CapacityReservationId": "cr-mine", "AvailableInstanceCount": 2},
        {**usual, "AvailableInstanceCount": 0},
        {**usual, "OwnerId": "444455556666"},  # shared with this account
        {**usual, "ReservationType": "capacity-block"},
    ]
    session = FakeSession(
        describe_instances={"Reservations": []},
        describe_capacity_reservations={"CapacityReservations": found},
    )
    usage = Usage(cast("Session", session), cast("InstanceTypes", FakeTypes()))
    others, own = usage.running("mine", ["cr-mine"])
    assert (others.vcpus, others.own, others.idle) == (12, False, True)
    assert (own.vcpus, own.own, own.idle) == (8, True, True)
