"""The Region comparison on fakes: calls, unreachable Regions, saved results."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from jarkkit.cli import app as cli
from jarkkit.decisions.costs.price_table import Price, PriceTable
from jarkkit.decisions.regions import RegionComparison, RegionResult
from jarkkit.model.checks import Check
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import CapacityBlock, Ec2CapacityReservation
from jarkkit.ports.aws import Account
from jarkkit.ports.terraform import Terraform
from jarkkit.settings import Settings
from jarkkit.steps import regions
from jarkkit.steps.preflight import CheckContext
from jarkkit.steps.preflight.capacity import accelerator_capacity
from tests.support.fakes.account import FakeAccount
from tests.support.fakes.deployment import DeploymentHarness
from tests.support.fakes.pricing import FakePricing
from tests.support.fakes.regions import (
    DENIED,
    EXPIRED,
    SILENT,
    THROTTLED,
    FakeAvailability,
    FakeRegions,
    FakeVcpuQuotas,
)
from tests.support.stacks import resolved

MADE = "2026-11-27T12:00:00.000Z"


def compare(account: FakeRegions, settings: Settings | None = None, *only: str) -> RegionComparison:
    return regions.compare_regions(
        cast("Account", account),
        settings or Settings(),
        PriceTable.shipped(),
        made=MADE,
        only=only,
    )


def row(comparison: RegionComparison, region: str) -> RegionResult:
    return next(found for found in comparison.regions if found.region == region)


def pool(*capacity: str, family: str = "g6") -> dict[str, Any]:
    return {"family": family, "capacity": capacity}


class TestComparison:
    def test_all_enabled_regions_are_compared(self) -> None:
        comparison = compare(FakeRegions())
        assert {r.region for r in comparison.regions} == {"eu-west-1", "us-east-1", "us-west-2"}
        assert all(r.is_suitable and r.has_enough_quota for r in comparison.regions)
        assert (
            comparison.recommended == "us-west-2"
        )  # as cheap and as near as us-east-1, and in the settings

    def test_the_more_expensive_region_is_not_recommended(self) -> None:
        comparison = compare(FakeRegions(region="eu-west-1"), Settings(region="eu-west-1"))
        assert comparison.recommended == "us-east-1"
        assert "lowest cost" in comparison.reason

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
    def test_a_region_without_an_answer_is_unknown_and_the_others_complete(
        self, method: str, words: str, error: JarkkitError
    ) -> None:
        account = FakeRegions()
        account.availability_by_region["us-east-1"] = FakeAvailability(
            "us-east-1", failing={method: error}
        )
        comparison = compare(account)
        unknown_facts = row(comparison, "us-east-1").not_known
        assert len(unknown_facts) == 1
        assert unknown_facts[0].startswith(f"{words}: ")
        assert error.code in unknown_facts[0]
        others = [r for r in comparison.regions if r.region != "us-east-1"]
        assert not any(r.not_known for r in others)
        assert comparison.recommended == "us-west-2"

    def test_an_unreachable_region_gets_no_further_calls(self) -> None:
        account = FakeRegions()
        unreachable = FakeAvailability("us-east-1", failing={"connect_seconds": SILENT})
        account.availability_by_region["us-east-1"] = unreachable
        comparison = compare(account)
        assert unreachable.calls == ["connect_seconds"]
        assert row(comparison, "us-east-1").is_suitable is None

    def test_unknown_quotas_are_unknown(self) -> None:
        account = FakeRegions(quotas_by_region={"us-west-2": FakeVcpuQuotas(failing=DENIED)})
        comparison = compare(account)
        found = row(comparison, "us-west-2")
        assert found.has_enough_quota is None
        assert found.is_suitable is True
        assert "quotas" in found.not_known[0]
        assert comparison.recommended == "us-east-1"

    def test_usage_is_subtracted(self) -> None:
        account = FakeRegions(quotas_by_region={"us-west-2": FakeVcpuQuotas(value=16, used=12)})
        comparison = compare(account)
        headroom = row(comparison, "us-west-2").headroom[0]
        assert (headroom.need, headroom.free, headroom.enough) == (8, 4, False)
        assert comparison.recommended == "us-east-1"

    def test_expired_credentials_stop_the_comparison(self) -> None:
        account = FakeRegions()
        account.availability.failing["enabled_regions"] = EXPIRED
        with pytest.raises(JarkkitError, match="expired"):
            compare(account)

    def test_without_permission_to_list_regions_only_the_own_one_is_compared(self) -> None:
        account = FakeRegions()
        account.availability.failing["enabled_regions"] = DENIED
        comparison = compare(account)
        assert [r.region for r in comparison.regions] == ["us-west-2"]
        assert "JK-AWS-DENIED" in comparison.notes[0]
        assert [r.region for r in compare(account, None, "eu-west-1").regions] == ["eu-west-1"]

    def test_cached_prices_replace_the_shipped_ones(self) -> None:
        today = Price(usd=0.01, unit="hour", source="AWS Price List API", date="2026-11-27")
        account = FakeRegions(pricing=FakePricing(cached={("eu-west-1", "m5.xlarge"): today}))
        comparison = compare(account)
        assert comparison.recommended == "eu-west-1"
        assert "AWS Price List API, 2026-11-27" in comparison.notes[-1]


class TestNamedRegions:
    def test_only_the_named_regions_are_compared(self) -> None:
        account = FakeRegions()
        comparison = compare(account, None, "eu-west-1")
        assert [r.region for r in comparison.regions] == ["eu-west-1"]
        assert "us-east-1" not in account.availability_by_region

    def test_an_unknown_region_is_rejected_with_a_suggestion(self) -> None:
        with pytest.raises(JarkkitError) as caught:
            compare(FakeRegions(), None, "eu-wst-1")
        assert caught.value.code == "JK-REGION-UNKNOWN"
        assert "eu-west-1" in caught.value.fix

    def test_a_disabled_region_gets_no_calls(self) -> None:
        account = FakeRegions()
        comparison = compare(account, None, "ap-south-1")
        assert row(comparison, "ap-south-1").missing == ("an opt-in by your account",)
        assert "ap-south-1" not in account.availability_by_region

    def test_a_region_without_eks_lacks_eks(self) -> None:
        comparison = compare(FakeRegions(names=("us-west-2", "xx-new-1")))
        assert row(comparison, "xx-new-1").missing == ("Amazon EKS",)


class TestCapacity:
    def test_on_demand_pools_need_no_capacity_calls(self) -> None:
        account = FakeRegions()
        comparison = compare(account)
        assert not {"spot_scores", "reservations"} & {*account.availability.calls}
        assert not any(r.signals for r in comparison.regions)

    def test_one_call_gets_the_scores_of_all_regions(self) -> None:
        account = FakeRegions()
        account.availability.scores = {"us-west-2": 9, "us-east-1": 3}
        comparison = compare(account, Settings(accelerators=(pool("spot"),)))  # type: ignore[arg-type]
        goods = {r.region: r.signals[0].good for r in comparison.regions}
        assert goods == {"us-west-2": True, "us-east-1": False, "eu-west-1": None}
        assert account.availability.calls.count("spot_scores") == 1
        assert "spot_scores" not in account.availability_by_region["us-east-1"].calls

    def test_a_denied_score_is_unknown(self) -> None:
        account = FakeRegions()
        account.availability.failing["spot_scores"] = DENIED
        comparison = compare(account, Settings(accelerators=(pool("spot"),)))  # type: ignore[arg-type]
        assert {r.signals[0].good for r in comparison.regions} == {None}
        assert "JK-AWS-DENIED" in comparison.regions[0].signals[0].evidence

    def test_a_family_of_few_types_is_not_scored(self) -> None:
        account = FakeRegions()
        settings = Settings(accelerators=(pool("spot", family="p5"),))  # type: ignore[arg-type]
        assert "fewer than 3 types" in compare(account, settings).regions[0].signals[0].evidence
        assert "spot_scores" not in account.availability.calls

    def test_only_reservations_in_the_settings_count(self) -> None:
        mine, other = (
            Ec2CapacityReservation(
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
        account.availability.reserved = (mine, other)
        account.availability_by_region["us-east-1"] = FakeAvailability(
            "us-east-1", blocks_for_sale=(block,)
        )
        settings = Settings(
            accelerators=(pool("reserved", family="p5"),),  # type: ignore[arg-type]
            capacity_reservations=("cr-12345678",),
        )
        comparison = compare(account, settings)
        here, there, nowhere = (
            row(comparison, name).signals[0] for name in ("us-west-2", "us-east-1", "eu-west-1")
        )
        assert (here.good, here.evidence) == (
            True,
            "p5 reserved: 2 free (p5.48xlarge in us-west-2a)",
        )
        assert there.good is False
        assert "Capacity Block of p5.48xlarge from 2026-12-01" in there.evidence
        assert (nowhere.good, nowhere.evidence) == (False, "p5: no reservation")


class TestPreflight:
    def checks(
        self, harness: DeploymentHarness, account: FakeRegions, **settings: Any
    ) -> list[Check]:
        context = CheckContext(
            resolved(Settings.from_values(settings)),
            cast("Account", account),
            cast("Terraform", harness.terraform),
            harness.deployment.workspace,
        )
        return list(accelerator_capacity(context))

    def test_has_no_check_for_on_demand_pools(self, harness: DeploymentHarness) -> None:
        account = FakeRegions()
        assert self.checks(harness, account, accelerators=["g6"]) == []
        assert account.availability.calls == []

    @pytest.mark.parametrize(
        ("scores", "status"),
        [({"us-west-2": 9}, "pass"), ({"us-west-2": 2}, "warn"), ({}, "unknown")],
    )
    def test_a_low_score_is_a_warning(
        self, harness: DeploymentHarness, scores: dict[str, int], status: str
    ) -> None:
        account = FakeRegions()
        account.availability.scores = scores
        found = self.checks(harness, account, accelerators=[pool("spot")])
        assert [(c.name, c.status) for c in found] == [("Spot capacity for g6", status)]
        assert bool(found[0].fix) == (status != "pass")

    def test_a_denied_call_is_unknown(self, harness: DeploymentHarness) -> None:
        account = FakeRegions()
        account.availability.failing["spot_scores"] = DENIED
        found = self.checks(harness, account, accelerators=[pool("spot")])
        assert found[0].status == "unknown"
        assert "JK-AWS-DENIED" in found[0].found


class TestDeployment:
    @pytest.fixture
    def account(self, harness: DeploymentHarness) -> FakeRegions:
        account = FakeRegions()
        harness.deployment._account = cast("Account", account)
        return account

    def test_the_comparison_is_saved(
        self, harness: DeploymentHarness, account: FakeRegions
    ) -> None:
        comparison = harness.deployment.compare_regions()
        assert harness.deployment.workspace.load("reports/regions", RegionComparison) == comparison

    def test_a_refresh_ignores_the_cache(
        self, harness: DeploymentHarness, account: FakeRegions
    ) -> None:
        harness.deployment.compare_regions()
        assert account.cache_resets == 0
        harness.deployment.compare_regions(refresh=True)
        assert account.cache_resets == 1

    def test_preflight_names_regions_with_the_accelerators(
        self, harness: DeploymentHarness
    ) -> None:
        class Without(FakeAccount):
            def offerings(self, patterns: tuple[str, ...]) -> dict[str, frozenset[str]]:
                found = super().offerings(patterns)
                return {p: z if p == "m5.xlarge" else frozenset() for p, z in found.items()}

        def fix() -> str:
            harness.deployment._account = cast("Account", Without())
            report = harness.deployment.preflight()
            return next(c.fix for c in report.failures() if c.name.startswith("Accelerators"))

        assert "To compare Regions, run: jarkkit regions" in fix()
        elsewhere = FakeRegions()
        elsewhere.availability.offered = ("m5.xlarge",)
        harness.deployment._account = cast("Account", elsewhere)
        harness.deployment.compare_regions()
        assert "in the comparison of" in fix()
        assert fix().endswith("us-east-1, eu-west-1.")


def test_the_command_needs_no_deployment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("JARKKIT_HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "unused")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "unused")
    result = CliRunner().invoke(cli.app, ["regions", "--region", "eu-wst-1", "--json"])
    assert isinstance(result.exception, JarkkitError)
    assert result.exception.code == "JK-REGION-UNKNOWN"
    assert json.dumps(result.exception.as_dict())
