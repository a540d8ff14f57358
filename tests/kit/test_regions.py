"""Where to build: what is asked, what a silent Region does to the others, what is kept of it."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from jarkkit.aws import Account
from jarkkit.checks import Check
from jarkkit.cli import app as cli
from jarkkit.costs.table import Price, PriceTable
from jarkkit.errors import JarkkitError
from jarkkit.records import CapacityBlock, CapacityReservation
from jarkkit.settings import Settings
from jarkkit.steps import regions
from jarkkit.steps.preflight import Look
from jarkkit.steps.preflight.capacity import signs_of_capacity
from jarkkit.survey import Survey, Surveyed
from jarkkit.terraform import Terraform
from tests.kit.conftest import World
from tests.kit.fake_offers import (
    DENIED,
    EXPIRED,
    SILENT,
    THROTTLED,
    FakeOffers,
    FakeRegions,
    FakeVcpus,
)
from tests.kit.fake_pricing import FakePricing
from tests.kit.fakes import FakeAccount

MADE = "2026-11-27T12:00:00.000Z"


def survey(account: FakeRegions, settings: Settings | None = None, *only: str) -> Survey:
    return regions.survey(
        cast("Account", account),
        settings or Settings(),
        PriceTable.shipped(),
        made=MADE,
        only=only,
    )


def row(made: Survey, region: str) -> Surveyed:
    return next(found for found in made.regions if found.region == region)


def pool(*capacity: str, family: str = "g6") -> dict[str, Any]:
    return {"family": family, "capacity": capacity}


class TestAsking:
    def test_all_enabled_regions_are_compared(self) -> None:
        made = survey(FakeRegions())
        assert {r.region for r in made.regions} == {"eu-west-1", "us-east-1", "us-west-2"}
        assert all(r.will_do and r.enough_quota for r in made.regions)
        assert made.recommended == "us-west-2"  # as cheap and as near as us-east-1, and wanted

    def test_the_dearer_region_is_not_recommended(self) -> None:
        made = survey(FakeRegions(region="eu-west-1"), Settings(region="eu-west-1"))
        assert made.recommended == "us-east-1"
        assert "cost least" in made.reason

    @pytest.mark.parametrize("error", [DENIED, THROTTLED, SILENT])
    @pytest.mark.parametrize(
        ("method", "words"),
        [
            ("zones", "zones"),
            ("types", "instance types"),
            ("cluster_versions", "Kubernetes"),
            ("spot_prices", "Spot prices"),
            ("connect_seconds", "everything"),
        ],
    )
    def test_a_region_that_does_not_answer_is_unknown_and_the_rest_complete(
        self, method: str, words: str, error: JarkkitError
    ) -> None:
        account = FakeRegions()
        account.places["us-east-1"] = FakeOffers("us-east-1", failing={method: error})
        made = survey(account)
        said = row(made, "us-east-1").not_known
        assert len(said) == 1
        assert said[0].startswith(f"{words}: ")
        assert error.code in said[0]
        others = [r for r in made.regions if r.region != "us-east-1"]
        assert not any(r.not_known for r in others)
        assert made.recommended == "us-west-2"

    def test_a_region_that_cannot_be_reached_is_asked_nothing_more(self) -> None:
        account = FakeRegions()
        far = FakeOffers("us-east-1", failing={"connect_seconds": SILENT})
        account.places["us-east-1"] = far
        made = survey(account)
        assert far.asked == ["connect_seconds"]
        assert row(made, "us-east-1").will_do is None

    def test_unknown_quotas_are_unknown(self) -> None:
        account = FakeRegions(rooms={"us-west-2": FakeVcpus(failing=DENIED)})
        made = survey(account)
        found = row(made, "us-west-2")
        assert found.enough_quota is None
        assert found.will_do is True
        assert "quotas" in found.not_known[0]
        assert made.recommended == "us-east-1"

    def test_what_is_in_use_is_subtracted(self) -> None:
        account = FakeRegions(rooms={"us-west-2": FakeVcpus(value=16, used=12)})
        made = survey(account)
        room = row(made, "us-west-2").headroom[0]
        assert (room.need, room.free, room.enough) == (8, 4, False)
        assert made.recommended == "us-east-1"

    def test_without_valid_credentials_there_is_no_survey(self) -> None:
        account = FakeRegions()
        account.offers.failing["enabled_regions"] = EXPIRED
        with pytest.raises(JarkkitError, match="expired"):
            survey(account)

    def test_who_may_not_list_regions_learns_of_the_own_one(self) -> None:
        account = FakeRegions()
        account.offers.failing["enabled_regions"] = DENIED
        made = survey(account)
        assert [r.region for r in made.regions] == ["us-west-2"]
        assert "JK-AWS-DENIED" in made.notes[0]
        assert [r.region for r in survey(account, None, "eu-west-1").regions] == ["eu-west-1"]

    def test_prices_that_were_asked_for_count_more_than_the_shipped_ones(self) -> None:
        today = Price(usd=0.01, unit="hour", source="AWS Price List API", date="2026-11-27")
        account = FakeRegions(pricing=FakePricing(kept={("eu-west-1", "m5.xlarge"): today}))
        made = survey(account)
        assert made.recommended == "eu-west-1"
        assert "AWS Price List API, 2026-11-27" in made.notes[-1]


class TestNamedRegions:
    def test_only_they_are_asked(self) -> None:
        account = FakeRegions()
        made = survey(account, None, "eu-west-1")
        assert [r.region for r in made.regions] == ["eu-west-1"]
        assert "us-east-1" not in account.places

    def test_one_that_does_not_exist_is_refused_with_the_nearest_name(self) -> None:
        with pytest.raises(JarkkitError) as refused:
            survey(FakeRegions(), None, "eu-wst-1")
        assert refused.value.code == "JK-REGION-UNKNOWN"
        assert "eu-west-1" in refused.value.fix

    def test_one_that_is_not_enabled_is_never_asked(self) -> None:
        account = FakeRegions()
        made = survey(account, None, "ap-south-1")
        assert row(made, "ap-south-1").missing == ("being enabled in this account",)
        assert "ap-south-1" not in account.places

    def test_one_without_eks_is_said_to_have_none(self) -> None:
        made = survey(FakeRegions(names=("us-west-2", "xx-new-1")))
        assert row(made, "xx-new-1").missing == ("Amazon EKS",)


class TestCapacity:
    def test_nothing_is_asked_for_pools_on_demand(self) -> None:
        account = FakeRegions()
        made = survey(account)
        assert not {"spot_scores", "reservations"} & {*account.offers.asked}
        assert not any(r.signals for r in made.regions)

    def test_scores_of_all_regions_come_from_one(self) -> None:
        account = FakeRegions()
        account.offers.scores = {"us-west-2": 9, "us-east-1": 3}
        made = survey(account, Settings(accelerators=(pool("spot"),)))  # type: ignore[arg-type]
        goods = {r.region: r.signals[0].good for r in made.regions}
        assert goods == {"us-west-2": True, "us-east-1": False, "eu-west-1": None}
        assert account.offers.asked.count("spot_scores") == 1
        assert "spot_scores" not in account.places["us-east-1"].asked

    def test_a_refused_score_is_unknown(self) -> None:
        account = FakeRegions()
        account.offers.failing["spot_scores"] = DENIED
        made = survey(account, Settings(accelerators=(pool("spot"),)))  # type: ignore[arg-type]
        assert {r.signals[0].good for r in made.regions} == {None}
        assert "JK-AWS-DENIED" in made.regions[0].signals[0].said

    def test_a_family_of_few_types_is_not_scored(self) -> None:
        account = FakeRegions()
        settings = Settings(accelerators=(pool("spot", family="p5"),))  # type: ignore[arg-type]
        assert "fewer than 3 types" in survey(account, settings).regions[0].signals[0].said
        assert "spot_scores" not in account.offers.asked

    def test_only_reservations_that_the_settings_name_count(self) -> None:
        mine, other = (
            CapacityReservation(
                reservation_id=f"cr-{n}2345678", instance_type="p5.48xlarge", zone="us-west-2a",
                state="active", total=2, free=free,
            )
            for n, free in ((1, 2), (2, 7))
        )  # fmt: skip
        block = CapacityBlock(
            instance_type="p5.48xlarge", zone="us-east-1a", starts="2026-12-01T11:30:00Z",
            hours=24, instances=1, usd=500,
        )  # fmt: skip
        account = FakeRegions()
        account.offers.reserved = (mine, other)
        account.places["us-east-1"] = FakeOffers("us-east-1", on_sale=(block,))
        settings = Settings(
            accelerators=(pool("reserved", family="p5"),),  # type: ignore[arg-type]
            capacity_reservations=("cr-12345678",),
        )
        made = survey(account, settings)
        here, there, nowhere = (
            row(made, name).signals[0] for name in ("us-west-2", "us-east-1", "eu-west-1")
        )
        assert (here.good, here.said) == (True, "p5 reserved: 2 free (p5.48xlarge in us-west-2a)")
        assert there.good is False
        assert "Capacity Block of p5.48xlarge from 2026-12-01" in there.said
        assert (nowhere.good, nowhere.said) == (False, "p5: no reservation")


class TestPreflight:
    def checks(self, world: World, account: FakeRegions, **settings: Any) -> list[Check]:
        look = Look(
            Settings.make(settings),
            cast("Account", account),
            cast("Terraform", world.terraform),
            world.kit.workspace,
        )
        return list(signs_of_capacity(look))

    def test_says_nothing_of_pools_on_demand(self, world: World) -> None:
        account = FakeRegions()
        assert self.checks(world, account, accelerators=["g6"]) == []
        assert account.offers.asked == []

    @pytest.mark.parametrize(
        ("scores", "status"),
        [({"us-west-2": 9}, "pass"), ({"us-west-2": 2}, "warn"), ({}, "unknown")],
    )
    def test_a_low_score_is_to_know(
        self, world: World, scores: dict[str, int], status: str
    ) -> None:
        account = FakeRegions()
        account.offers.scores = scores
        found = self.checks(world, account, accelerators=[pool("spot")])
        assert [(c.name, c.status) for c in found] == [("Spot capacity for g6", status)]
        assert bool(found[0].fix) == (status != "pass")

    def test_a_refusal_is_unknown(self, world: World) -> None:
        account = FakeRegions()
        account.offers.failing["spot_scores"] = DENIED
        found = self.checks(world, account, accelerators=[pool("spot")])
        assert found[0].status == "unknown"
        assert "JK-AWS-DENIED" in found[0].found


class TestKit:
    @pytest.fixture
    def account(self, world: World) -> FakeRegions:
        account = FakeRegions()
        world.kit._account = cast("Account", account)
        return account

    def test_the_survey_is_kept(self, world: World, account: FakeRegions) -> None:
        made = world.kit.regions()
        assert world.kit.workspace.load("reports/regions", Survey) == made

    def test_a_refresh_forgets_what_was_answered(self, world: World, account: FakeRegions) -> None:
        world.kit.regions()
        assert account.forgotten == 0
        world.kit.regions(refresh=True)
        assert account.forgotten == 1

    def test_preflight_says_where_the_accelerators_are(self, world: World) -> None:
        class Without(FakeAccount):
            def offerings(self, patterns: tuple[str, ...]) -> dict[str, frozenset[str]]:
                found = super().offerings(patterns)
                return {p: z if p == "m5.xlarge" else frozenset() for p, z in found.items()}

        def fix() -> str:
            world.kit._account = cast("Account", Without())
            report = world.kit.preflight()
            return next(c.fix for c in report.failures() if c.name.startswith("Accelerators"))

        assert "Which one: jarkkit regions" in fix()
        elsewhere = FakeRegions()
        elsewhere.offers.offered = ("m5.xlarge",)
        world.kit._account = cast("Account", elsewhere)
        world.kit.regions()
        assert "by the survey of" in fix()
        assert fix().endswith("us-east-1, eu-west-1.")


def test_the_command_needs_no_deployment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("JARKKIT_HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nobody")
    done = CliRunner().invoke(cli.app, ["regions", "--region", "eu-wst-1", "--json"])
    assert isinstance(done.exception, JarkkitError)
    assert done.exception.code == "JK-REGION-UNKNOWN"
    assert json.dumps(done.exception.as_dict())
