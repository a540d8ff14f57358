"""Where to build: what counts, what decides, and how it is told."""

from __future__ import annotations

import random
from typing import Any

import pytest

from jarkkit import pictures
from jarkkit.costs.table import PriceTable
from jarkkit.errors import JarkkitError
from jarkkit.quotas.codes import P5_SPOT
from jarkkit.quotas.values import InForce, Running
from jarkkit.records import ClusterVersion, Zone
from jarkkit.settings import CLUSTER_VERSIONS, Settings
from jarkkit.survey import (
    Facts,
    Headroom,
    Signal,
    Survey,
    Surveyed,
    compared,
    in_region,
    shown,
    smallest,
    surveyed,
)
from jarkkit.survey.region import smallest_types
from jarkkit.survey.signs import vcpu_quotas

NEWEST = CLUSTER_VERSIONS[-1]
SETTINGS = Settings()  # two zones, m5.xlarge, g6
TABLE = PriceTable.shipped()
DENIED = JarkkitError("JK-AWS-DENIED", "it is not allowed.", "")
ROOM = (Headroom(quota="L-1216C47A", name="Standard On-Demand", need=8, free=256, enough=True),)
SHORT = (Headroom(quota="L-DB2E81BA", name="G and VT On-Demand", need=4, free=0, enough=False),)


def one(settings: Settings = SETTINGS, **changes: Any) -> Surveyed:
    """A Region where all is well, but for the changes."""
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
        "quotas": {quota.code: in_force(256) for quota in vcpu_quotas(settings)},
        "running": (),
    }
    known = Facts(**{**facts, **changes})
    return surveyed(in_region(settings, region), known, TABLE, today="2026-11-27")


def in_force(value: float) -> InForce:
    return InForce(value=value, applied=True, asked="2026-11-27T00:00:00Z")


def row(region: str = "us-west-2", **changes: Any) -> Surveyed:
    """A Region's line as the choice sees it."""
    same = {"usd_per_hour": 0.6, "latency_ms": 50.0, "headroom": ROOM}
    return one(region=region).model_copy(update={**same, **changes})


def survey(*regions: Surveyed, settings: Settings = SETTINGS) -> Survey:
    return compared(settings, regions, made="2026-11-27T00:00:00Z")


class TestARegion:
    def test_that_has_everything_will_do(self) -> None:
        found = one()
        assert found.will_do is True
        assert found.enough_quota is True
        assert [len(s.zones) for s in found.supplies or ()] == [3, 3]

    def test_is_priced_by_the_smallest_type_in_its_cheapest_zone(self) -> None:
        gpu = (one().supplies or ())[1]
        assert (gpu.wanted, gpu.instance_type, gpu.spot_usd) == ("g6", "g6.xlarge", 0.3)
        price = TABLE.instance("us-west-2", "g6.xlarge")
        assert price is not None
        assert gpu.on_demand_usd == price.usd

    def test_prices_of_zones_that_eks_refuses_do_not_count(self) -> None:
        zones = [Zone(name=f"us-west-2{c}", zone_id=f"x-az{c}") for c in "ac"]
        refused = Zone(name="us-west-2b", zone_id="use1-az3")
        gpu = (one(zones=(*zones, refused)).supplies or ())[1]
        assert gpu.spot_usd == 0.4
        assert gpu.zones == ("us-west-2a", "us-west-2c")

    @pytest.mark.parametrize(
        ("changes", "missing"),
        [
            ({"eks": False}, "Amazon EKS"),
            ({"enabled": False}, "being enabled in this account"),
            ({"versions": ()}, f"Kubernetes {NEWEST}"),
            ({"types": {"m5.xlarge": frozenset({"us-west-2a", "us-west-2b"})}}, "g6"),
            (
                {"types": {"m5.xlarge": frozenset({"us-west-2a"}), "g6.xlarge": frozenset()}},
                "2 zones for EKS with m5.xlarge",
            ),
        ],
    )
    def test_says_what_it_lacks(self, changes: dict[str, Any], missing: str) -> None:
        found = one(**changes)
        assert missing in found.missing
        assert found.will_do is False

    def test_static_gpu_nodes_must_be_offered_too(self) -> None:
        settings = Settings(static_gpu_nodes=1, accelerators=())
        assert one(settings).missing == ("g6.4xlarge",)

    def test_local_zones_do_not_count(self) -> None:
        local = tuple(
            Zone(name=f"us-west-2-lax-1{c}", zone_id=f"usw2-lax1-az{c}", zone_type="local-zone")
            for c in "ab"
        )
        found = one(zones=(*local, Zone(name="us-west-2a", zone_id="x-az1")))
        assert found.zones == ("us-west-2a",)
        assert found.will_do is False

    @pytest.mark.parametrize("unknown", ["versions", "zones", "types"])
    def test_that_did_not_answer_is_neither_good_nor_bad(self, unknown: str) -> None:
        found = one(**{unknown: DENIED})
        assert found.will_do is None
        assert len(found.not_known) == 1
        assert found.not_known[0].endswith("it is not allowed (JK-AWS-DENIED)")

    def test_one_reason_for_several_things_is_said_once(self) -> None:
        found = one(zones=DENIED, versions=DENIED, running=DENIED)
        said = "Kubernetes, zones, what is in use: it is not allowed (JK-AWS-DENIED)"
        assert found.not_known == (said,)

    def test_the_call_that_was_refused_is_named(self) -> None:
        refused = JarkkitError("JK-AWS-DENIED", "ec2 DescribeInstances: it is not allowed.", "")
        said = "what is in use (ec2 DescribeInstances): it is not allowed (JK-AWS-DENIED)"
        assert one(running=refused).not_known == (said,)

    def test_zones_of_another_region_are_not_asked_for(self) -> None:
        settings = Settings(availability_zones=("us-west-2a", "us-west-2b"))
        assert one(settings, region="eu-west-1").will_do is True

    def test_extended_support_costs_more(self) -> None:
        late = (ClusterVersion(version=NEWEST, support="EXTENDED_SUPPORT"),)
        found, usual = one(versions=late), one()
        assert found.version == "extended"
        assert found.usd_per_hour is not None
        assert usual.usd_per_hour is not None
        assert found.usd_per_hour == pytest.approx(usual.usd_per_hour + 0.5)

    def test_without_a_price_there_is_no_sum(self) -> None:
        settings = Settings(core_instance_type="z9.xlarge")
        types = {"z9.xlarge": frozenset({"us-west-2a", "us-west-2b", "us-west-2c"})}
        assert one(settings, types=types).usd_per_hour is None


class TestHeadroom:
    def test_each_pool_needs_its_smallest_instance(self) -> None:
        need = {room.name: room.need for room in one().headroom}
        assert need == {"Standard On-Demand": 8, "G and VT On-Demand": 4}

    def test_what_runs_is_subtracted(self) -> None:
        used = Running(instance_type="g5.xlarge", purchase="on-demand", count=63, vcpus=254)
        found = one(running=(used,))
        assert found.headroom[1].free == 2
        assert found.enough_quota is False

    def test_a_pool_with_two_ways_to_buy_needs_one_of_them(self) -> None:
        settings = Settings(accelerators=({"family": "g6", "capacity": ("on-demand", "spot")},))  # type: ignore[arg-type]
        none = {quota.code: in_force(256) for quota in vcpu_quotas(settings)}
        only_spot = {**none, "L-DB2E81BA": in_force(0)}
        neither = {**only_spot, "L-3819A6DF": in_force(0)}
        assert one(settings, quotas=only_spot).enough_quota is True
        assert one(settings, quotas=neither).enough_quota is False

    def test_what_is_not_known_is_neither_enough_nor_short(self) -> None:
        quotas = {"L-1216C47A": in_force(256), "L-DB2E81BA": DENIED}
        assert one(quotas=quotas).enough_quota is None
        assert one(running=DENIED).enough_quota is None
        short = {"L-1216C47A": in_force(5), "L-DB2E81BA": DENIED}
        assert one(quotas=short).enough_quota is False

    def test_the_older_spot_quota_of_p5_is_asked_for(self) -> None:
        settings = Settings(accelerators=({"family": "p5", "capacity": ("spot",)},))  # type: ignore[arg-type]
        assert P5_SPOT in vcpu_quotas(settings)
        assert P5_SPOT not in vcpu_quotas(SETTINGS)


def test_the_smallest_type_is_the_smallest_by_size_and_not_by_name() -> None:
    types = ["g6.metal", "g6.16xlarge", "g6.2xlarge", "g6.xlarge", "g6e.large", "g6.48xlarge"]
    assert smallest("g6.*", types) == "g6.xlarge"
    assert smallest("g6.*", types[:3]) == "g6.2xlarge"
    assert smallest("p6-b200.*", types) == ""


def test_the_smallest_types_of_all_zones_hold_that_of_any_choice_of_zones() -> None:
    types = {
        "g6.xlarge": frozenset("a"),
        "g6.2xlarge": frozenset("ab"),
        "g6.4xlarge": frozenset("abc"),
        "m5.xlarge": frozenset("c"),
    }
    found = smallest_types(("g6.*", "m5.xlarge"), types)
    assert found == ("g6.2xlarge", "g6.4xlarge", "g6.xlarge", "m5.xlarge")


class TestTheChoice:
    def test_what_a_region_must_have_comes_before_all_else(self) -> None:
        cheap = one(region="eu-west-1", versions=()).model_copy(update={"usd_per_hour": 0.1})
        assert survey(cheap, row()).recommended == "us-west-2"

    def test_then_quotas_then_price_then_latency(self) -> None:
        no_quota = row("af-south-1", headroom=SHORT, usd_per_hour=0.1)
        unknown = row("ap-south-1", headroom=(), usd_per_hour=0.2)
        dear = row("ca-central-1", usd_per_hour=0.9, latency_ms=1.0)
        far = row("eu-west-1", latency_ms=200.0)
        near = row("us-west-2", latency_ms=30.0)
        ordered = survey(no_quota, unknown, dear, far, near).regions
        assert [r.region for r in ordered] == [
            "us-west-2",
            "eu-west-1",
            "ca-central-1",
            "ap-south-1",
            "af-south-1",
        ]

    def test_is_the_same_in_whatever_order_regions_answered(self) -> None:
        rows = [row(f"eu-west-{n}", usd_per_hour=0.1 * (n % 3)) for n in range(1, 9)]
        first = survey(*rows)
        for seed in range(5):
            random.Random(seed).shuffle(rows)
            assert survey(*rows) == first

    def test_an_unknown_region_is_never_recommended(self) -> None:
        nobody = survey(one(versions=None), one(region="eu-west-1", eks=False))
        assert nobody.recommended == ""
        assert "Not known of: us-west-2." in nobody.reason
        assert "eu-west-1, without Amazon EKS" in nobody.reason

    @pytest.mark.parametrize(
        ("other", "reason"),
        [
            ({"usd_per_hour": 0.9}, "it costs least (0.60 USD/h; then eu-west-1, 0.90 USD/h)"),
            ({"latency_ms": 300.0}, "it is the nearest (50 ms; then eu-west-1, 300 ms)"),
            ({}, "as near; of these it is the one in the settings"),
            ({"headroom": ()}, "In the other Region that would do"),
            ({"missing": ("g6",)}, "No other Region has all that it takes."),
        ],
    )
    def test_is_explained_by_what_decided(self, other: dict[str, Any], reason: str) -> None:
        made = survey(row(), row("eu-west-1", **other))
        assert made.recommended == "us-west-2"
        assert reason in made.reason

    def test_among_equals_that_nobody_named_the_first_is_taken(self) -> None:
        made = survey(row("eu-west-2"), row("eu-west-1"))
        assert made.recommended == "eu-west-1"
        assert made.reason.endswith("it is the first by name.")

    def test_a_difference_that_nobody_feels_does_not_decide(self) -> None:
        a, b = row("eu-west-1", latency_ms=4.9), row("eu-west-2", latency_ms=0.1)
        assert survey(a, b).recommended == "eu-west-1"

    def test_quotas_that_are_short_are_said(self) -> None:
        made = survey(row(headroom=SHORT))
        assert "G and VT On-Demand: 0 of 4 vCPUs free" in made.reason


class TestShowing:
    scarce = Signal(wanted="g6", kind="spot", said="g6 Spot 3/10", good=False)
    made = survey(
        row(),
        row("eu-west-1", usd_per_hour=0.9, signals=(scarce,)),
        one(region="af-south-1", eks=False),
        one(region="sa-east-1", zones=DENIED),
    )

    def test_every_region_has_a_cell_for_every_criterion(self) -> None:
        columns = shown.criteria(self.made)
        assert columns == ("Kubernetes", "zones", "m5.xlarge", "g6", "quota", "capacity", "USD/h",
                           "latency")  # fmt: skip
        for row in self.made.regions:
            assert len(shown.cells(self.made, row)) == len(columns)

    def test_as_text_it_has_a_line_per_region_and_the_reasons(self) -> None:
        text = self.made.text()
        for row in self.made.regions:
            assert sum(line[3:].startswith(row.region) for line in text.splitlines()) == 1
        assert "sa-east-1: zones: it is not allowed (JK-AWS-DENIED)" in text
        assert text.splitlines()[0].startswith("Recommended: us-west-2.")

    def test_the_quotas_cell_says_how_much_is_free(self) -> None:
        said = {r.region: shown.cells(self.made, r)[4].text for r in self.made.regions}
        assert said["us-west-2"] == "✔ 256 Standard"
        short = survey(row(headroom=(*ROOM, *SHORT)))
        assert shown.cells(short, short.regions[0])[4].text == "✘ 0 of 4 G and VT"
        unknown = survey(one(running=DENIED))
        assert shown.cells(unknown, unknown.regions[0])[4].text == "?"

    def test_as_html_each_mark_is_a_word_too(self) -> None:
        page = self.made._repr_html_()
        assert 'title="good"' in page
        assert 'title="unknown"' in page
        assert page.count("<tr>") == 1 + len(self.made.regions)

    def test_the_picture_says_the_same_to_those_who_cannot_see_it(self) -> None:
        picture = pictures.region_map(self.made)
        assert picture.png.startswith(b"\x89PNG")
        assert "the best first: us-west-2, eu-west-1" in picture.alt
        assert "Recommended: us-west-2." in picture.alt

    def test_it_reads_back_what_it_wrote(self) -> None:
        assert Survey.model_validate_json(self.made.model_dump_json()) == self.made
