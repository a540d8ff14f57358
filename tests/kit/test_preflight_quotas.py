"""Quotas in the kit: preflight's findings, the table, requests for more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jarkkit.checks import Check
from jarkkit.errors import JarkkitError
from jarkkit.pictures import quota_bars
from jarkkit.quotas.values import Increase, InUse, Running
from jarkkit.steps.quotas import Wish, wishes
from tests.kit.conftest import World

STANDARD, G, EIPS, VPCS = "L-1216C47A", "L-DB2E81BA", "L-0263D0A3", "L-F678F1CE"
DENIED = JarkkitError("JK-AWS-DENIED", "not allowed", "allow it")


def quota_checks(world: World) -> list[Check]:
    return [check for check in world.kit.preflight().checks if check.group == "Quotas"]


def status_of(world: World, code: str) -> str:
    return next(check.status for check in quota_checks(world) if code in check.name)


def running(vcpus: int, *, own: bool = False, kind: str = "m5.xlarge") -> Running:
    return Running(instance_type=kind, purchase="on-demand", count=vcpus // 4, vcpus=vcpus, own=own)


def test_with_room_enough_there_is_one_line(world: World) -> None:
    assert [check.status for check in quota_checks(world)] == ["pass"]


def test_core_nodes_above_the_quota_block(world: World) -> None:
    world.account.quotas.values = {STANDARD: 5.0}
    assert not world.kit.preflight().ok
    assert status_of(world, STANDARD) == "fail"


def test_what_runs_beside_the_deployment_is_subtracted_and_what_is_its_own_is_not(
    world: World,
) -> None:
    world.account.quotas.values = {STANDARD: 88.0}
    world.account.usage.instances = (running(8, own=True),)
    assert world.kit.quotas().row(STANDARD).fits == "yes"
    world.account.usage.instances = (
        running(8, own=True),
        running(8),
        running(40, kind="g6.xlarge"),
    )
    assert world.kit.quotas().row(STANDARD).fits == "yes"
    world.account.usage.instances = (running(8, own=True), running(12))
    assert world.kit.quotas().row(STANDARD).fits == "at the start"


def test_networks_and_addresses_block_as_well(world: World) -> None:
    world.account.quotas.values = {VPCS: 5.0, EIPS: 5.0}
    world.account.usage.things = {VPCS: InUse(total=5), EIPS: InUse(total=5, own=1)}
    assert status_of(world, VPCS) == "fail"
    assert world.kit.quotas().row(EIPS).fits == "yes"


def test_what_is_not_known_is_never_a_pass_or_a_failure(world: World) -> None:
    world.account.quotas.values = {STANDARD: DENIED}
    world.account.usage.things = {VPCS: DENIED}
    statuses = {check.status for check in quota_checks(world)}
    assert statuses == {"unknown", "pass"}
    assert world.kit.quotas().row(VPCS).fits == "unknown"


def test_without_the_sizes_of_instances_vcpus_are_unknown(world: World) -> None:
    world.account.instance_types.error = DENIED
    rows = {row.code: row.fits for row in world.kit.quotas().rows}
    assert (rows[STANDARD], rows[G], rows[VPCS]) == ("unknown", "unknown", "yes")


def test_the_pools_limits_and_free_addresses_are_looked_at(world: World) -> None:
    own = {"vpc_id": "vpc-12345678", "private_subnet_ids": ["subnet-11111111", "subnet-22222222"]}
    world.kit.configure({**own, "attendees": 40})
    world.account.usage.free = {"subnet-11111111": 4000, "subnet-22222222": 3}
    found = {check.name: check.status for check in quota_checks(world)}
    assert found["Room for everybody"] == "warn"
    assert found["Free addresses in the subnets"] == "fail"


def test_refreshing_forgets_what_was_answered(world: World) -> None:
    world.kit.preflight()
    world.kit.quotas()
    assert world.account.forgotten == 0
    world.kit.preflight(refresh=True)
    world.kit.quotas(refresh=True)
    assert world.account.forgotten == 2


# -- asking for more -------------------------------------------------------------------------------


def wanted(world: World) -> dict[str, Wish]:
    return {wish.code: wish for wish in wishes(world.kit.quotas())}


def test_a_wish_says_exactly_what_is_sent(world: World) -> None:
    world.account.quotas.values = {STANDARD: 5.0}
    world.account.usage.instances = (running(4),)
    wish = wanted(world)[STANDARD]
    assert (wish.service, wish.region, wish.desired, wish.in_force) == ("ec2", "us-west-2", 84, 5)
    for word in ("ec2", STANDARD, "us-west-2", "84", "now 5"):
        assert word in wish.text()
    assert "--desired-value 84" in wish.command


def test_nothing_is_asked_for_that_fits_or_is_not_known(world: World) -> None:
    world.account.quotas.values = {G: DENIED}
    assert wanted(world) == {}


def test_preflight_and_the_table_send_nothing(world: World) -> None:
    world.account.quotas.values = {STANDARD: 5.0}
    world.kit.preflight()
    world.kit.quotas()
    assert world.account.quotas.filed == []


def test_a_request_is_sent_once_and_shown_after(world: World) -> None:
    world.account.quotas.values = {STANDARD: 5.0}
    wish = wanted(world)[STANDARD]
    first, again = world.kit.ask_for_quota(wish), world.kit.ask_for_quota(wish)
    assert (first.before, again.before) == (False, True)
    assert [request.desired for request in world.account.quotas.filed] == [80]
    assert wanted(world) == {}
    (check,) = (check for check in quota_checks(world) if STANDARD in check.name)
    assert "80 is asked for already (PENDING)" in check.fix


def test_a_decided_request_is_no_open_one(world: World) -> None:
    world.account.quotas.values = {STANDARD: 5.0}
    denied = Increase(id="1", service="ec2", code=STANDARD, desired=80, status="DENIED")
    world.account.quotas.filed = [denied]
    assert STANDARD in wanted(world)


def test_aws_refusal_is_in_the_answer(world: World) -> None:
    world.account.quotas.values = {STANDARD: 5.0}
    world.account.quotas.refusing = JarkkitError("JK-AWS-QUOTA", "too many open", "wait")
    filed = world.kit.ask_for_quota(wanted(world)[STANDARD])
    assert filed.request is None
    assert filed.error
    assert filed.error["code"] == "JK-AWS-QUOTA"


def test_requests_that_may_not_be_listed_are_said(world: World) -> None:
    world.account.quotas = replace(world.account.quotas, error=DENIED)
    names = {check.name: check.code for check in quota_checks(world)}
    assert names["Requests to raise quotas"] == "JK-AWS-DENIED"


# -- picture ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [{}, {STANDARD: 5.0, G: 0.0}, {STANDARD: DENIED}])
def test_the_picture_says_in_words_what_is_short(
    world: World, values: dict[str, float | JarkkitError | None]
) -> None:
    world.account.quotas.values = values
    picture = quota_bars(world.kit.quotas())
    assert picture.png.startswith(b"\x89PNG")
    short = [code for code, value in values.items() if isinstance(value, float)]
    assert all(code in picture.alt for code in short)
