"""What can still change in the network of a deployment that exists."""

from __future__ import annotations

from typing import Any

import pytest

from jarkkit.decisions.network_layout import check_layout, layout_of, next_layout
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import NetworkLayout
from jarkkit.settings import Settings
from tests.support.terraform_variables import terraform_variables

A, B, C = "us-west-2a", "us-west-2b", "us-west-2c"
VPC, OTHER_VPC = "vpc-0123456789abcdef0", "vpc-0123456789abcdef1"
ONE, TWO, THREE = (f"subnet-0123456789abcde{i:02}" for i in range(3))
APPLIED = NetworkLayout(zones=(A, B), initial_zones=(A, B))
IN_VPC = NetworkLayout(zones=(A, B), initial_zones=(A, B), vpc_id=VPC, initial_subnets=(ONE, TWO))


class TestCheck:
    @pytest.mark.parametrize(
        "values",
        [
            {},
            {"az_count": 3},
            {"az_count": 3, "availability_zones": (C, B, A)},
            {"vpc_id": VPC, "private_subnet_ids": (ONE, TWO)},  # replaces everything
        ],
    )
    def test_zones_can_be_added(self, values: dict[str, Any]) -> None:
        check_layout(Settings(**values), APPLIED)
        check_layout(Settings(**values), None)

    @pytest.mark.parametrize(
        ("values", "setting"),
        [
            ({"az_count": 2}, "az_count"),
            ({"availability_zones": (A, B)}, "availability_zones"),
            ({"az_count": 4, "availability_zones": (A, B, "us-west-2d", "us-west-2e")}, C),
        ],
    )
    def test_zones_cannot_be_removed(self, values: dict[str, Any], setting: str) -> None:
        three = NetworkLayout(zones=(A, B, C), initial_zones=(A, B, C))
        with pytest.raises(JarkkitError, match="JK-SETTINGS-FIXED") as caught:
            check_layout(Settings(**values), three)
        assert setting in caught.value.message + caught.value.fix

    def test_subnets_of_an_existing_vpc_can_be_added_only(self) -> None:
        more = Settings(vpc_id=VPC, private_subnet_ids=(ONE, TWO, THREE))
        check_layout(more, IN_VPC)
        with pytest.raises(JarkkitError, match="JK-SETTINGS-FIXED") as caught:
            check_layout(Settings(vpc_id=VPC, private_subnet_ids=(ONE, THREE)), IN_VPC)
        assert TWO in caught.value.message
        check_layout(Settings(vpc_id=OTHER_VPC, private_subnet_ids=(ONE, THREE)), IN_VPC)


class TestNext:
    def test_the_first_zones_stay_initial(self) -> None:
        assert next_layout(Settings(), (A, B), None).initial_zones == (A, B)
        assert next_layout(Settings(az_count=3), (A, B, C), APPLIED).initial_zones == (A, B)

    def test_the_first_subnets_stay_initial(self) -> None:
        more = Settings(vpc_id=VPC, private_subnet_ids=(THREE, ONE, TWO))
        assert next_layout(more, (A, B), IN_VPC).initial_subnets == (ONE, TWO)

    def test_another_vpc_starts_over(self) -> None:
        other = Settings(vpc_id=OTHER_VPC, private_subnet_ids=(TWO, THREE))
        found = next_layout(other, (B, C), IN_VPC)
        assert (found.initial_zones, found.initial_subnets) == ((B, C), (TWO, THREE))


@pytest.mark.parametrize("layout", [APPLIED, IN_VPC])
def test_terraforms_variables_hold_the_layout(layout: NetworkLayout) -> None:
    settings = Settings(vpc_id=layout.vpc_id, private_subnet_ids=layout.initial_subnets)
    assert layout_of(terraform_variables(settings, layout)) == layout
