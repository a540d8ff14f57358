"""The choice of zones: none that EKS rejects, those with the accelerators first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarkkit.catalog.facts import zones_without_control_planes
from jarkkit.decisions.zones import choose_zones, usable_zones
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Zone
from jarkkit.settings import Settings
from tests.support.stacks import resolved


def zone(letter: str, zone_id: str, **more: str) -> Zone:
    return Zone(name=f"us-west-2{letter}", zone_id=zone_id, **more)


ZONES = [zone("a", "usw2-az1"), zone("b", "usw2-az2"), zone("c", "usw2-az3")]
EVERYWHERE = frozenset(z.name for z in ZONES)


@pytest.mark.parametrize("zone_id", sorted(zones_without_control_planes()))
def test_zones_that_eks_rejects_are_never_usable(zone_id: str) -> None:
    assert usable_zones([zone("a", zone_id)]) == []


@pytest.mark.parametrize(
    "more",
    [
        {"zone_type": "local-zone"},
        {"zone_type": "wavelength-zone"},
        {"opt_in_status": "not-opted-in"},
        {"state": "impaired"},
    ],
)
def test_local_zones_and_closed_zones_are_not_usable(more: dict[str, str]) -> None:
    assert usable_zones([zone("a", "usw2-az1", **more)]) == []


def test_zones_with_the_accelerator_are_preferred() -> None:
    offerings = {"m5.xlarge": EVERYWHERE, "g6.*": frozenset({"us-west-2b", "us-west-2c"})}
    assert choose_zones(Settings(), ZONES, offerings) == ("us-west-2b", "us-west-2c")


def test_zones_without_the_core_type_are_too_few() -> None:
    offerings = {"m5.xlarge": frozenset({"us-west-2a"}), "g6.*": EVERYWHERE}
    with pytest.raises(JarkkitError, match="JK-ZONES-TOO-FEW"):
        choose_zones(Settings(), ZONES, offerings)


def test_named_zones_are_used_or_rejected_with_their_id() -> None:
    settings = Settings(availability_zones=("us-west-2c", "us-west-2a"))
    assert choose_zones(settings, ZONES, {}) == ("us-west-2a", "us-west-2c")
    zones = [zone("a", "use1-az3"), zone("c", "usw2-az3")]
    with pytest.raises(JarkkitError, match="use1-az3"):
        choose_zones(settings, zones, {})


def test_a_family_does_not_match_a_longer_family_name() -> None:
    settings = Settings.from_values({"accelerators": ["g6"], "static_gpu_nodes": 1})
    assert resolved(settings).instance_patterns == ("m5.xlarge", "g6.4xlarge", "g6.*")


@given(st.sets(st.sampled_from(sorted(EVERYWHERE))), st.integers(2, 3))
def test_the_choice_is_sorted_distinct_and_of_the_right_size(gpu: set[str], count: int) -> None:
    offerings = {"m5.xlarge": EVERYWHERE, "g6.*": frozenset(gpu)}
    chosen = choose_zones(Settings(az_count=count), ZONES, offerings)
    assert list(chosen) == sorted(set(chosen))
    assert len(chosen) == count
    assert len(gpu & set(chosen)) == min(len(gpu), count)


def test_zones_in_use_keep_their_order_and_new_ones_follow() -> None:
    everywhere = {"m5.xlarge": frozenset({"us-west-2a", "us-west-2b", "us-west-2c"})}
    keep = ("us-west-2c", "us-west-2b")
    assert choose_zones(Settings(az_count=3), ZONES, everywhere, keep) == (*keep, "us-west-2a")
    named = Settings(az_count=3, availability_zones=("us-west-2a", "us-west-2b", "us-west-2c"))
    assert choose_zones(named, ZONES, {}, keep) == (*keep, "us-west-2a")
