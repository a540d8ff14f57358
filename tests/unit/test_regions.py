"""The comparison of Regions: criteria, ranking and table."""

from __future__ import annotations

import random
from typing import Any

import pytest

from jarkkit.decisions.costs.price_table import PriceTable
from jarkkit.decisions.quotas.models import AppliedQuota, RunningInstances
from jarkkit.decisions.quotas.quota_codes import P5_SPOT
from jarkkit.decisions.regions import (
    CapacitySignal,
    Headroom,
    RegionComparison,
    RegionFacts,
    RegionResult,
    rank_regions,
    region_result,
    settings_in_region,
    smallest_type,
    table,
)
from jarkkit.decisions.regions.capacity_signals import vcpu_quotas
from jarkkit.decisions.regions.region_result import smallest_types
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import ClusterVersion, Zone
from jarkkit.model.unknown import Unknown
from jarkkit.render import pictures
from jarkkit.render.html import html as html_of
from jarkkit.render.text import text as text_of
from jarkkit.settings import CLUSTER_VERSIONS, Settings
from tests.support.stacks import resolved

NEWEST = CLUSTER_VERSIONS[-1]
SETTINGS = Settings()  # two zones, m5.xlarge, g6
TABLE = PriceTable.shipped()
DENIED = Unknown(JarkkitError("JK-AWS-DENIED", "it is not allowed.", ""))
ENOUGH = (Headroom(quota="L-1216C47A", name="Standard On-Demand", need=8, free=256, enough=True),)
SHORT = (Headroom(quota="L-DB2E81BA", name="G and VT On-Demand", need=4, free=0, enough=False),)


def result_with(settings: Settings = SETTINGS, **changes: Any) -> RegionResult:
    """Return a suitable Region, apart from the changes."""
    region = changes.get("region", "us-west-2")
    names = [f"{region}{letter}" for letter in "abc"]
    facts: dict[str, Any] = {
        "region": region,
        "latency": 0.05,
        "versions": (ClusterVersion(version=NEWEST, support="STANDARD_SUPPORT"),),
        "zones": tuple(Zone(name=n, zone_id=f"x-az{i}") for i, n in enumerate(names, 1)),
        "types": {
            "m5.xlarge": frozenset(names),
            "g6.xlarge": frozenset(names[:2]),
            "g6.16xlarge": frozenset(names),
        },
        "spot": {"g6.xlarge": {names[0]: 0.4, names[1]: 0.3}},
        "quotas": {quota.code: applied_quota(256) for quota in vcpu_quotas(resolved(settings))},
        "running": (),
    }
    known = RegionFacts(**{**facts, **changes})
    return region_result(
        resolved(settings_in_region(settings, region)), known, TABLE, today="2026-11-27"
    )


def applied_quota(value: float) -> AppliedQuota:
    return AppliedQuota(value=value, applied=True, asked="2026-11-27T00:00:00Z")


def row(region: str = "us-west-2", **changes: Any) -> RegionResult:
    """Return a Region's row in the comparison."""
    same = {"usd_per_hour": 0.6, "latency_ms": 50.0, "headroom": ENOUGH}
    return result_with(region=region).model_copy(update={**same, **changes})


def comparison_of(*regions: RegionResult, settings: Settings = SETTINGS) -> RegionComparison:
    return rank_regions(settings, regions, made="2026-11-27T00:00:00Z")


class TestRegionResult:
    def test_with_everything_is_suitable(self) -> None:
        found = result_with()
        assert found.is_suitable is True
        assert found.has_enough_quota is True
        assert [len(s.zones) for s in found.supplies or ()] == [3, 3]

    def test_is_priced_by_the_smallest_type_in_its_cheapest_zone(self) -> None:
        gpu = (result_with().supplies or ())[1]
        assert (gpu.wanted, gpu.instance_type, gpu.spot_usd) == ("g6", "g6.xlarge", 0.3)
        price = TABLE.instance("us-west-2", "g6.xlarge")
        assert price is not None
        assert gpu.on_demand_usd == price.usd

    def test_ignores_prices_of_zones_that_eks_rejects(self) -> None:
        zones = [Zone(name=f"us-west-2{c}", zone_id=f"x-az{c}") for c in "ac"]
        denied = Zone(name="us-west-2b", zone_id="use1-az3")
        gpu = (result_with(zones=(*zones, denied)).supplies or ())[1]
        assert gpu.spot_usd == 0.4
        assert gpu.zones == ("us-west-2a", "us-west-2c")

    @pytest.mark.parametrize(
        ("changes", "missing"),
        [
            ({"eks": False}, "Amazon EKS"),
            ({"enabled": False}, "an opt-in by your account"),
            ({"versions": ()}, f"Kubernetes {NEWEST}"),
            ({"types": {"m5.xlarge": frozenset({"us-west-2a", "us-west-2b"})}}, "g6"),
            (
                {"types": {"m5.xlarge": frozenset({"us-west-2a"}), "g6.xlarge": frozenset()}},
                "2 EKS zones with m5.xlarge",
            ),
        ],
    )
    def test_lists_what_is_missing(self, changes: dict[str, Any], missing: str) -> None:
        found = result_with(**changes)
        assert missing in found.missing
        assert found.is_suitable is False

    def test_static_gpu_nodes_must_be_offered_too(self) -> None:
        settings = Settings(static_gpu_nodes=1, accelerators=())
        assert result_with(settings).missing == ("g6.4xlarge",)

    def test_ignores_local_zones(self) -> None:
        local = tuple(
            Zone(name=f"us-west-2-lax-1{c}", zone_id=f"usw2-lax1-az{c}", zone_type="local-zone")
            for c in "ab"
        )
        found = result_with(zones=(*local, Zone(name="us-west-2a", zone_id="x-az1")))
        assert found.zones == ("us-west-2a",)
        assert found.is_suitable is False

    @pytest.mark.parametrize("unknown", ["versions", "zones", "types"])
    def test_without_an_answer_is_neither_suitable_nor_unsuitable(self, unknown: str) -> None:
        changes: dict[str, Any] = {unknown: DENIED}
        found = result_with(**changes)
        assert found.is_suitable is None
        assert len(found.not_known) == 1
        assert found.not_known[0].endswith("it is not allowed (JK-AWS-DENIED)")

    def test_merges_equal_reasons_for_unknown_facts(self) -> None:
        found = result_with(zones=DENIED, versions=DENIED, running=DENIED)
        texts = "Kubernetes, zones, usage: it is not allowed (JK-AWS-DENIED)"
        assert found.not_known == (texts,)

    def test_names_the_call_that_was_denied(self) -> None:
        message = "ec2 DescribeInstances: it is not allowed."
        denied = Unknown(JarkkitError("JK-AWS-DENIED", message, ""))
        texts = "usage (ec2 DescribeInstances): it is not allowed (JK-AWS-DENIED)"
        assert result_with(running=denied).not_known == (texts,)

    def test_ignores_zones_of_another_region_in_the_settings(self) -> None:
        settings = Settings(availability_zones=("us-west-2a", "us-west-2b"))
        assert result_with(settings, region="eu-west-1").is_suitable is True

    def test_extended_support_is_reported_and_not_charged(self) -> None:
        late = (ClusterVersion(version=NEWEST, support="EXTENDED_SUPPORT"),)
        found, usual = result_with(versions=late), result_with()
        assert found.version == "extended"
        assert found.usd_per_hour is not None
        assert usual.usd_per_hour is not None
        assert found.usd_per_hour == pytest.approx(usual.usd_per_hour)

    def test_without_a_price_there_is_no_sum(self) -> None:
        settings = Settings(core_instance_type="z9.xlarge")
        types = {"z9.xlarge": frozenset({"us-west-2a", "us-west-2b", "us-west-2c"})}
        assert result_with(settings, types=types).usd_per_hour is None


class TestHeadroom:
    def test_each_pool_needs_its_smallest_instance(self) -> None:
        need = {headroom.name: headroom.need for headroom in result_with().headroom}
        assert need == {"Standard On-Demand": 8, "G and VT On-Demand": 4}

    def test_usage_is_subtracted(self) -> None:
        used = RunningInstances(
            instance_type="g5.xlarge", purchase="on-demand", count=63, vcpus=254
        )
        found = result_with(running=(used,))
        assert found.headroom[1].free == 2
        assert found.has_enough_quota is False

    def test_a_pool_with_two_purchase_options_needs_one_of_them(self) -> None:
        settings = Settings(accelerators=({"family": "g6", "capacity": ("on-demand", "spot")},))  # type: ignore[arg-type]
        none = {quota.code: applied_quota(256) for quota in vcpu_quotas(resolved(settings))}
        only_spot = {**none, "L-DB2E81BA": applied_quota(0)}
        neither = {**only_spot, "L-3819A6DF": applied_quota(0)}
        assert result_with(settings, quotas=only_spot).has_enough_quota is True
        assert result_with(settings, quotas=neither).has_enough_quota is False

    def test_unknown_quotas_are_neither_enough_nor_short(self) -> None:
        quotas = {"L-1216C47A": applied_quota(256), "L-DB2E81BA": DENIED}
        assert result_with(quotas=quotas).has_enough_quota is None
        assert result_with(running=DENIED).has_enough_quota is None
        short = {"L-1216C47A": applied_quota(5), "L-DB2E81BA": DENIED}
        assert result_with(quotas=short).has_enough_quota is False

    def test_the_older_spot_quota_of_p5_is_included(self) -> None:
        settings = Settings(accelerators=({"family": "p5", "capacity": ("spot",)},))  # type: ignore[arg-type]
        assert P5_SPOT in vcpu_quotas(resolved(settings))
        assert P5_SPOT not in vcpu_quotas(resolved(SETTINGS))


def test_the_smallest_type_is_chosen_by_size_and_not_by_name() -> None:
    types = ["g6.metal", "g6.16xlarge", "g6.2xlarge", "g6.xlarge", "g6e.large", "g6.48xlarge"]
    assert smallest_type("g6.*", types) == "g6.xlarge"
    assert smallest_type("g6.*", types[:3]) == "g6.2xlarge"
    assert smallest_type("p6-b200.*", types) == ""


def test_the_smallest_types_cover_every_choice_of_zones() -> None:
    types = {
        "g6.xlarge": frozenset("a"),
        "g6.2xlarge": frozenset("ab"),
        "g6.4xlarge": frozenset("abc"),
        "m5.xlarge": frozenset("c"),
    }
    found = smallest_types(("g6.*", "m5.xlarge"), types)
    assert found == ("g6.2xlarge", "g6.4xlarge", "g6.xlarge", "m5.xlarge")


class TestRanking:
    def test_missing_requirements_count_most(self) -> None:
        cheap = result_with(region="eu-west-1", versions=()).model_copy(
            update={"usd_per_hour": 0.1}
        )
        assert comparison_of(cheap, row()).recommended == "us-west-2"

    def test_then_quotas_then_price_then_latency(self) -> None:
        no_quota = row("af-south-1", headroom=SHORT, usd_per_hour=0.1)
        unknown = row("ap-south-1", headroom=(), usd_per_hour=0.2)
        expensive = row("ca-central-1", usd_per_hour=0.9, latency_ms=1.0)
        far = row("eu-west-1", latency_ms=200.0)
        near = row("us-west-2", latency_ms=30.0)
        ordered = comparison_of(no_quota, unknown, expensive, far, near).regions
        assert [r.region for r in ordered] == [
            "us-west-2",
            "eu-west-1",
            "ca-central-1",
            "ap-south-1",
            "af-south-1",
        ]

    def test_does_not_depend_on_the_order_of_the_results(self) -> None:
        rows = [row(f"eu-west-{n}", usd_per_hour=0.1 * (n % 3)) for n in range(1, 9)]
        first = comparison_of(*rows)
        for seed in range(5):
            random.Random(seed).shuffle(rows)
            assert comparison_of(*rows) == first

    def test_never_recommends_an_unknown_region(self) -> None:
        without_recommendation = comparison_of(
            result_with(versions=None), result_with(region="eu-west-1", eks=False)
        )
        assert without_recommendation.recommended == ""
        assert "Unknown: us-west-2." in without_recommendation.reason
        assert "eu-west-1, which lacks Amazon EKS" in without_recommendation.reason

    @pytest.mark.parametrize(
        ("other", "reason"),
        [
            (
                {"usd_per_hour": 0.9},
                "it has the lowest cost (0.60 USD/h; next: eu-west-1, 0.90 USD/h)",
            ),
            ({"latency_ms": 300.0}, "it has the lowest latency (50 ms; next: eu-west-1, 300 ms)"),
            ({}, "similar latency. Of these, it is the one in your settings"),
            ({"headroom": ()}, "1 other Region meets the requirements, but its quotas"),
            ({"missing": ("g6",)}, "No other Region meets all requirements."),
        ],
    )
    def test_explains_the_deciding_criterion(self, other: dict[str, Any], reason: str) -> None:
        comparison = comparison_of(row(), row("eu-west-1", **other))
        assert comparison.recommended == "us-west-2"
        assert reason in comparison.reason

    def test_takes_the_first_by_name_among_equals(self) -> None:
        comparison = comparison_of(row("eu-west-2"), row("eu-west-1"))
        assert comparison.recommended == "eu-west-1"
        assert comparison.reason.endswith("it is the first by name.")

    def test_ignores_negligible_latency_differences(self) -> None:
        a, b = row("eu-west-1", latency_ms=4.9), row("eu-west-2", latency_ms=0.1)
        assert comparison_of(a, b).recommended == "eu-west-1"

    def test_names_short_quotas(self) -> None:
        comparison = comparison_of(row(headroom=SHORT))
        assert "G and VT On-Demand: 0 of 4 vCPUs free" in comparison.reason


class TestTable:
    scarce = CapacitySignal(wanted="g6", kind="spot", evidence="g6 Spot 3/10", good=False)
    comparison = comparison_of(
        row(),
        row("eu-west-1", usd_per_hour=0.9, signals=(scarce,)),
        result_with(region="af-south-1", eks=False),
        result_with(region="sa-east-1", zones=DENIED),
    )

    def test_every_region_has_a_cell_for_every_criterion(self) -> None:
        columns = table.column_names(self.comparison)
        assert columns == ("Kubernetes", "zones", "m5.xlarge", "g6", "quota", "capacity", "USD/h",
                           "latency")  # fmt: skip
        for row in self.comparison.regions:
            assert len(table.cells(self.comparison, row)) == len(columns)

    def test_the_text_has_a_line_per_region_and_the_reasons(self) -> None:
        text = text_of(self.comparison)
        for row in self.comparison.regions:
            assert sum(line[3:].startswith(row.region) for line in text.splitlines()) == 1
        assert "sa-east-1: zones: it is not allowed (JK-AWS-DENIED)" in text
        assert text.splitlines()[0].startswith("Recommended: us-west-2.")

    def test_the_quota_cell_shows_what_is_free(self) -> None:
        texts = {r.region: table.cells(self.comparison, r)[4].text for r in self.comparison.regions}
        assert texts["us-west-2"] == "✔ 256 Standard"
        short = comparison_of(row(headroom=(*ENOUGH, *SHORT)))
        assert table.cells(short, short.regions[0])[4].text == "✘ 0 of 4 G and VT"
        unknown = comparison_of(result_with(running=DENIED))
        assert table.cells(unknown, unknown.regions[0])[4].text == "?"

    def test_each_mark_in_the_html_has_a_title(self) -> None:
        page = html_of(self.comparison)
        assert 'title="good"' in page
        assert 'title="unknown"' in page
        assert page.count("<tr>") == 1 + len(self.comparison.regions)

    def test_the_picture_has_an_alternative_text(self) -> None:
        picture = pictures.region_map(self.comparison)
        assert picture.svg.startswith("<svg")
        assert "the best first: us-west-2, eu-west-1" in picture.caption
        assert "Recommended: us-west-2." in picture.caption

    def test_the_comparison_reads_back_from_json(self) -> None:
        assert (
            RegionComparison.model_validate_json(self.comparison.model_dump_json())
            == self.comparison
        )
