"""Whether EKS can use an existing VPC."""

from __future__ import annotations

from typing import Any

import pytest

from jarkkit.decisions.existing_vpc import NODE_SERVICES, vpc_checks
from jarkkit.model.checks import Check
from jarkkit.model.records import ExistingVpc, SubnetNetwork, WayOut
from jarkkit.settings import Settings

VPC, OTHER = "vpc-0123456789abcdef0", "vpc-0123456789abcdef1"
ONE, TWO, PUBLIC = (f"subnet-0123456789abcde{i:02}" for i in range(3))
SETTINGS = Settings(vpc_id=VPC, private_subnet_ids=(ONE, TWO), public_subnet_ids=(PUBLIC,))


def subnet(name: str, zone: str = "a", way_out: WayOut = "nat", **more: Any) -> SubnetNetwork:
    given = {"vpc_id": VPC, "zone": f"us-west-2{zone}", "way_out": way_out, **more}
    return SubnetNetwork(subnet_id=name, **given)


def existing(*subnets: SubnetNetwork, **more: Any) -> ExistingVpc:
    """A VPC that EKS can use, with these subnets instead of its own."""
    sound = {s.subnet_id: s for s in (subnet(ONE), subnet(TWO, "b"), subnet(PUBLIC))}
    sound |= {each.subnet_id: each for each in subnets}
    return ExistingVpc(vpc_id=VPC, subnets=tuple(sound.values()), **more)


def problem(vpc: ExistingVpc | None, settings: Settings = SETTINGS) -> Check:
    """Return the only check that does not pass."""
    (found,) = (check for check in vpc_checks(settings, vpc) if check.status != "pass")
    return found


def test_a_sound_vpc_passes() -> None:
    checks = list(vpc_checks(SETTINGS, existing()))
    assert [check.status for check in checks] == ["pass"] * 4


class TestIdentity:
    def test_a_vpc_that_does_not_exist(self) -> None:
        check = problem(None)
        assert (check.status, check.code) == ("fail", "JK-SETTINGS-INVALID")
        assert "vpc_id" in check.fix

    def test_a_subnet_that_does_not_exist(self) -> None:
        check = problem(ExistingVpc(vpc_id=VPC, subnets=(subnet(ONE), subnet(PUBLIC))))
        assert TWO in check.found
        assert "private_subnet_ids" in check.fix

    def test_a_subnet_of_another_vpc(self) -> None:
        check = problem(existing(subnet(PUBLIC, vpc_id=OTHER)))
        assert PUBLIC in check.found
        assert "public_subnet_ids" in check.fix


class TestZones:
    def test_one_zone_is_too_few(self) -> None:
        check = problem(existing(subnet(TWO, "a")))
        assert (check.status, check.found) == ("fail", "all in us-west-2a")
        assert "private_subnet_ids" in check.fix

    def test_a_zone_without_control_planes(self) -> None:
        check = problem(existing(subnet(TWO, "b", zone_id="use1-az3")))
        assert (check.status, TWO in check.found) == ("fail", True)

    def test_two_subnets_in_a_zone_are_allowed(self) -> None:
        third = "subnet-0123456789abcde09"
        settings = SETTINGS.with_changes({"private_subnet_ids": [ONE, TWO, third]})
        checks = vpc_checks(settings, existing(subnet(third, "a")))
        assert {check.status for check in checks} == {"pass"}


@pytest.mark.parametrize("name", ["dns_support", "dns_hostnames"])
def test_dns_must_be_on(name: str) -> None:
    check = problem(existing(**{name: False}))
    assert (check.status, check.code) == ("fail", "JK-NETWORK-VPC")
    assert f"--enable-{name.replace('_', '-')}" in check.fix


class TestWayOut:
    @pytest.mark.parametrize(
        "one",
        [subnet(ONE, way_out="other"), subnet(ONE, way_out="internet", public_addresses=True)],
    )
    def test_other_ways_than_nat(self, one: SubnetNetwork) -> None:
        assert {check.status for check in vpc_checks(SETTINGS, existing(one))} == {"pass"}

    @pytest.mark.parametrize("one", [subnet(ONE, way_out=""), subnet(ONE, way_out="internet")])
    def test_without_a_way_nodes_never_join(self, one: SubnetNetwork) -> None:
        check = problem(existing(one))
        assert (check.status, check.code) == ("fail", "JK-NETWORK-VPC")
        assert ONE in check.found
        assert TWO not in check.found
        assert "private_subnet_ids" in check.fix

    def test_endpoints_replace_it_except_for_images(self) -> None:
        services = frozenset({*NODE_SERVICES, "sqs", "ssm"})
        check = problem(existing(subnet(ONE, way_out=""), endpoints=services))
        assert (check.status, "registry" in check.why) == ("warn", True)
        check = problem(existing(subnet(ONE, way_out=""), endpoints=services - {"ecr.dkr"}))
        assert (check.status, "ecr.dkr" in check.found) == ("fail", True)
