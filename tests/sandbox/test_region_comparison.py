"""The region comparison and its queries, against the sandbox account through a real SDK."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jarkkit.cli import app as cli
from jarkkit.decisions.regions import RegionComparison, RegionResult
from jarkkit.deployment import compare_regions
from jarkkit.model.errors import JarkkitError
from jarkkit.ports.aws import Account
from jarkkit.sandbox import daemon_client
from jarkkit.settings import Settings
from tests.support.account import make_client, reserve, sandbox_environment

REGION = "us-west-2"
REGIONS = ("us-west-2", "eu-central-1", "us-east-1")


@pytest.fixture
def account(sandbox: daemon_client.RunningSandbox) -> Account:
    """An account without cached answers of other tests."""
    environ = {
        n: v for n, v in sandbox_environment(sandbox).items() if n != "JARKKIT_ACCOUNT_CACHE"
    }
    return Account(REGION, environ)


@contextmanager
def set_faults(sandbox: daemon_client.RunningSandbox, *faults: str) -> Iterator[None]:
    daemon_client.set_faults(sandbox.home, faults)
    try:
        yield
    finally:
        daemon_client.set_faults(sandbox.home, ())


def call_count(sandbox: daemon_client.RunningSandbox) -> int:
    return int(daemon_client.status(sandbox.home)["calls"])


def result_of(comparison: RegionComparison, region: str) -> RegionResult:
    return next(found for found in comparison.regions if found.region == region)


class TestAvailability:
    def test_availability_zones_are_listed(self, account: Account) -> None:
        names = {zone.name for zone in account.availability.zones()}
        assert {"us-west-2a", "us-west-2b", "us-west-2c"} <= names

    def test_types_are_found_by_pattern_in_one_call(
        self, account: Account, sandbox: daemon_client.RunningSandbox
    ) -> None:
        account.caller()
        account.availability.zones()  # from here on the caller is cached
        before = call_count(sandbox)
        types = account.availability.zones_by_type(["g6.*", "m5.xlarge"])
        assert call_count(sandbox) == before + 1
        assert "g6.xlarge" in types
        assert not any(name.startswith("g6e.") for name in types)
        assert types["m5.xlarge"] >= {"us-west-2a", "us-west-2b"}
        assert account.offerings(["m5.xlarge"]) == {"m5.xlarge": types["m5.xlarge"]}

    def test_current_spot_prices_are_listed_by_zone(self, account: Account) -> None:
        prices = account.availability.spot_prices(["g6.xlarge", "m5.xlarge"])
        assert prices.keys() == {"g6.xlarge", "m5.xlarge"}
        assert all(0 < usd < 0.805 for usd in prices["g6.xlarge"].values())
        assert (
            prices["g6.xlarge"].keys()
            == account.availability.zones_by_type(["g6.xlarge"])["g6.xlarge"]
        )

    def test_spot_scores_cover_more_regions_than_one_call(self, account: Account) -> None:
        types = sorted(account.availability.zones_by_type(["g5.*"]))
        regions = account.availability.enabled_regions()
        assert len(regions) > 10
        scores = account.availability.spot_scores(types, 64, regions)
        assert len(scores) > 10
        assert set(scores) <= set(regions)
        assert set(scores.values()) <= set(range(1, 11))

    def test_capacity_reservations_are_found_until_cancelled(
        self, account: Account, sandbox: daemon_client.RunningSandbox
    ) -> None:
        ec2 = make_client(sandbox, "ec2", REGION)
        reservation = reserve(ec2, "g6.xlarge", "us-west-2b", 3)
        found = {r.reservation_id: r for r in account.availability.capacity_reservations(["g6.*"])}
        assert (found[reservation].zone, found[reservation].total, found[reservation].free) == (
            "us-west-2b",
            3,
            3,
        )
        assert not found[reservation].block
        assert reservation not in {
            r.reservation_id for r in account.availability.capacity_reservations(["g5.*"])
        }
        ec2.cancel_capacity_reservation(CapacityReservationId=reservation)
        assert reservation not in {
            r.reservation_id for r in account.availability.capacity_reservations(["g6.*"])
        }

    def test_offered_capacity_blocks_have_a_price(self, account: Account) -> None:
        block = account.availability.capacity_blocks("p5.48xlarge")[0]
        assert (block.hours, block.instances) == (24, 1)
        assert block.usd > 0
        assert block.starts.endswith("Z")

    def test_the_connection_time_is_measured(self, account: Account) -> None:
        seconds = account.availability.connect_seconds()
        assert seconds is not None
        assert 0 < seconds < 3

    def test_a_closed_endpoint_is_unreachable(self, account: Account) -> None:
        nowhere = Account(REGION, {**account._environ, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
        with pytest.raises(JarkkitError) as caught:
            nowhere.availability._connect()
        assert caught.value.code == "JK-AWS-UNREACHABLE"

    def test_the_connection_time_is_not_measured_behind_a_proxy(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        account.availability.zones()
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        assert account.availability._connect() is None


class TestComparison:
    def compare(self, account: Account, settings: Settings | None = None) -> RegionComparison:
        return compare_regions(
            settings or Settings(), REGIONS, environ=account._environ, refresh=True
        )

    def test_every_compared_region_is_complete(self, account: Account) -> None:
        comparison = self.compare(account)
        assert {r.region for r in comparison.regions} == set(REGIONS)
        for found in comparison.regions:
            assert found.is_suitable
            assert found.has_enough_quota
            assert not found.not_known
            for supply in found.supplies or ():
                assert supply.on_demand_usd is not None
                assert supply.spot_usd is not None

    @pytest.mark.parametrize(
        ("fault_text", "code"),
        [
            ("access-denied:ec2,eu-central-1", "JK-AWS-DENIED"),
            ("throttled:eks,eu-central-1", "JK-AWS-THROTTLED"),
            ("access-denied:servicequotas,eu-central-1", "JK-AWS-DENIED"),
            ("api-unreachable:eu-central-1", "JK-AWS-UNREACHABLE"),
        ],
    )
    def test_a_failing_region_is_unknown_and_the_others_are_complete(
        self, sandbox: daemon_client.RunningSandbox, account: Account, fault_text: str, code: str
    ) -> None:
        with set_faults(sandbox, fault_text):
            comparison = self.compare(account)
        assert code in " ".join(result_of(comparison, "eu-central-1").not_known)
        assert not result_of(comparison, "us-east-1").not_known
        assert comparison.recommended in ("us-east-1", "us-west-2")

    def test_expired_credentials_end_the_comparison_with_an_error(
        self, sandbox: daemon_client.RunningSandbox, account: Account
    ) -> None:
        with set_faults(sandbox, "expired-credentials"), pytest.raises(JarkkitError) as caught:
            self.compare(account)
        assert caught.value.code == "JK-AWS-EXPIRED"

    def test_capacity_signals_are_included_for_spot(self, account: Account) -> None:
        pools: Any = ({"family": "g6", "capacity": ("spot",)},)
        comparison = self.compare(account, Settings(accelerators=pools))
        assert all(r.signals[0].evidence.startswith("g6 Spot") for r in comparison.regions)

    def test_a_second_comparison_uses_cached_answers(
        self, sandbox: daemon_client.RunningSandbox
    ) -> None:
        environ = sandbox_environment(sandbox)
        first = compare_regions(Settings(), REGIONS, environ=environ, refresh=True)
        before = call_count(sandbox)
        second = compare_regions(Settings(), REGIONS, environ=environ)
        assert call_count(sandbox) - before <= 1  # the caller's identity
        assert second.regions == first.regions


class TestCommand:
    @pytest.fixture
    def run(
        self, sandbox: daemon_client.RunningSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Any:
        monkeypatch.setenv("JARKKIT_HOME", str(tmp_path))
        for name, value in sandbox.env.items():
            monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
        return lambda *args: CliRunner().invoke(cli.app, ["regions", *args])

    def test_the_command_compares_for_the_given_settings_without_a_deployment(
        self, run: Any
    ) -> None:
        args = ("--region", "us-west-2", "--family", "g5", "-p", "az_count=3", "--json")
        result = run(*args)
        comparison = RegionComparison.model_validate_json(result.stdout)
        assert (comparison.families, comparison.az_count) == (("g5",), 3)
        assert comparison.recommended == "us-west-2"

    def test_the_command_saves_the_heat_map(self, run: Any, tmp_path: Path) -> None:
        file = tmp_path / "map.svg"
        result = run("--region", "us-west-2", "--picture", str(file))
        assert file.read_text().startswith("<svg ")
        assert "Heat map of 1 Region." in result.stderr
        assert result.stdout.startswith("Recommended: us-west-2.")

    @pytest.mark.usefixtures("run")
    def test_the_command_exits_with_one_without_a_suitable_region(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        args = ["--region", "us-west-2", "-p", "core_instance_type=z9.xlarge", "--json"]
        assert cli._run(["regions", *args]) == 1
        assert json.loads(capsys.readouterr().out)["recommended"] == ""
