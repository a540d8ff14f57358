"""Usage that the simulated account never reports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from jarkkit.model.records import InstanceType
from jarkkit.ports.aws.instance_types import InstanceTypes
from jarkkit.ports.aws.quota_usage import AccountUsage
from jarkkit.ports.aws.session import AwsSession
from tests.support.fakes.session import FakeSession


class FakeTypes:
    """Instance types with four vCPUs each."""

    def matching(self, names: Iterator[str]) -> dict[str, InstanceType]:
        return {name: InstanceType(name=name, vcpus=4) for name in names}


def test_dedicated_hosts_do_not_count_against_quotas() -> None:
    usual = {"InstanceType": "p5.4xlarge", "Placement": {"Tenancy": "default"}}
    instances = [usual, {**usual, "Placement": {"Tenancy": "host"}}]
    session = FakeSession(
        describe_instances={"Reservations": [{"Instances": instances}]},
        describe_capacity_reservations={"CapacityReservations": []},
    )
    usage = AccountUsage(cast("AwsSession", session), cast("InstanceTypes", FakeTypes()))
    (running,) = usage.running_instances("mine")
    assert (running.count, running.purchase) == (1, "on-demand")


def test_unused_reserved_capacity_counts_as_running() -> None:
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
    usage = AccountUsage(cast("AwsSession", session), cast("InstanceTypes", FakeTypes()))
    others, own = usage.running_instances("mine", ["cr-mine"])
    assert (others.vcpus, others.own, others.idle) == (12, False, True)
    assert (own.vcpus, own.own, own.idle) == (8, True, True)
