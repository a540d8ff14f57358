"""The contents of the form and the effects of a change, without widgets or an account."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jarkkit.catalog.addons import addon_catalog
from jarkkit.decisions.costs.price_table import PriceTable
from jarkkit.decisions.quotas.models import AppliedQuota, RunningInstances
from jarkkit.decisions.quotas.quota_codes import QUOTAS
from jarkkit.decisions.regions import Headroom, InstanceSupply, RegionComparison, RegionResult
from jarkkit.decisions.regions.table import SYMBOL
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import ClusterVersion, Zone
from jarkkit.model.unknown import Unknown
from jarkkit.notebook.form import accelerators, addons, fields, read_only_view, regions
from jarkkit.notebook.form.draft import Draft
from jarkkit.notebook.form.sections import SECTIONS, has_error, is_relevant, section_summary
from jarkkit.notebook.form.settings_summary import settings_summary
from jarkkit.render import form as html
from jarkkit.settings import CLUSTER_VERSIONS, Settings
from jarkkit.steps.queries.quota_table import QuotaSnapshot
from jarkkit.steps.queries.region_snapshot import RegionSnapshot
from tests.support.fakes.quotas import TYPES
from tests.support.stacks import resolved

TODAY = "2026-11-27"
G_ON_DEMAND, STANDARD = "L-DB2E81BA", "L-1216C47A"
ZONES = tuple(Zone(name=f"us-west-2{letter}", zone_id=f"usw2-az{letter}") for letter in "abc")
DENIED = Unknown(JarkkitError("JK-AWS-DENIED", "These credentials may not do that.", "Ask."))


def quota_snapshot(values: dict[str, float] | None = None, **update: Any) -> QuotaSnapshot:
    """Return large quotas except the given ones; nothing runs."""
    plenty = dict.fromkeys(QUOTAS, 1000.0) | (values or {})
    applied = {c: AppliedQuota(value=v, applied=True, asked=TODAY) for c, v in plenty.items()}
    plain = QuotaSnapshot("us-west-2", "us-east-1", TYPES, applied, (), {}, ())
    return replace(plain, **update)


def region_snapshot(values: dict[str, float] | None = None, **update: Any) -> RegionSnapshot:
    types = {name: frozenset(z.name for z in ZONES) for name in TYPES if not name.startswith("inf")}
    answers: dict[str, Any] = {
        "zones": ZONES,
        "types": types,
        "spot": {"g6.xlarge": {"us-west-2a": 0.3, "us-west-2b": 0.2}},
        "versions": tuple(ClusterVersion(version=v, support="STANDARD") for v in CLUSTER_VERSIONS),
        "quota_snapshot": quota_snapshot(values),
    }
    return RegionSnapshot("us-west-2", PriceTable.shipped(), **{**answers, **update})


def make(**values: Any) -> Settings:
    return Settings.from_values(values)


class TestSections:
    def test_every_setting_is_in_a_section(self) -> None:
        placed = [name for section in SECTIONS for name in section.fields]
        assert sorted(placed) == sorted(Settings.model_fields)

    def test_a_section_summarizes_its_settings(self) -> None:
        summaries = {
            s.name: section_summary(s, resolved(make(accelerators=["g6", "inf2"])))
            for s in SECTIONS
        }
        assert summaries["Accelerators"] == "g6, inf2"
        assert summaries["Region"] == f"us-west-2, {CLUSTER_VERSIONS[-1]}"

    def test_oidc_fields_are_relevant_with_oidc_only(self) -> None:
        name = "jupyterhub_oidc_issuer"
        assert not is_relevant(name, Draft(Settings()).input)
        draft = Draft(Settings())
        draft.update({"jupyterhub_auth": "oidc"})  # does not fit yet, and must be seen all the same
        assert draft.error is not None
        assert is_relevant(name, draft.input)

    def test_an_error_is_shown_in_the_section_of_its_setting(self) -> None:
        draft = Draft(Settings())
        draft.update({"az_count": 9})
        assert [s.name for s in SECTIONS if has_error(s, draft.error)] == ["Network"]

    @pytest.mark.parametrize(
        ("inputs", "sections"),
        [
            ({"tags": "region"}, ["More"]),
            ({"tags": "aws:region=name"}, ["More"]),
            ({"core_nodes": 9, "vpc_cidr": "10.0.0.0/8"}, ["Size", "Network"]),
            ({"core_nodes": 9, "attendees": 0}, ["JupyterHub"]),
            ({"jupyterhub_auth": "oidc", "private_subnet_ids": "x"}, ["JupyterHub", "More"]),
        ],
    )
    def test_a_word_in_the_message_does_not_count(
        self, inputs: dict[str, Any], sections: list[str]
    ) -> None:
        draft = Draft(Settings())
        draft.update(inputs)
        assert [s.name for s in SECTIONS if has_error(s, draft.error)] == sections


class TestFields:
    @pytest.mark.parametrize(
        ("name", "value", "written"),
        [
            ("availability_zones", ("us-west-2a", "us-west-2b"), "us-west-2a, us-west-2b"),
            ("tags", {"team": "a", "url": "x=y"}, "team=a, url=x=y"),
            ("cluster_log_types", ("api", "audit"), ("api", "audit")),
            ("az_count", 3, 3),
            ("karpenter", False, False),
        ],
    )
    def test_values_survive_conversion_to_input_and_back(
        self, name: str, value: Any, written: Any
    ) -> None:
        assert fields.to_input(name, value) == written
        assert fields.from_input(name, written) == value

    def test_tags_without_a_value_are_rejected_with_the_format(self) -> None:
        with pytest.raises(JarkkitError, match="key=value"):
            fields.from_input("tags", "team")

    @pytest.mark.parametrize(
        ("text", "number"),
        [
            ("3", 3),
            (" 12 ", 12),
            ("-1", -1),
            ("2.5", "2.5"),
            ("1e3", "1e3"),
            ("", ""),
            ("\u0663", "\u0663"),
        ],
    )
    def test_only_digits_are_a_number(self, text: str, number: int | str) -> None:
        assert fields.to_number(text) == number

    def test_every_setting_has_a_kind_of_input(self) -> None:
        kinds = {fields.input_kind(name) for name in Settings.model_fields}
        assert kinds == {"switch", "choice", "number", "several", "list", "pairs", "text", "own"}


class TestDraft:
    def test_a_draft_starts_with_the_given_changes(self) -> None:
        draft = Draft(Settings(), {"az_count": 3})
        assert draft.settings.az_count == 3
        assert draft.changed_names() == ("az_count",)
        assert draft.change_texts() == ("az_count: 2 → 3",)

    def test_a_reverted_value_is_no_change(self) -> None:
        draft = Draft(Settings())
        draft.update({"nat": "per-az", "accelerators": ()})
        draft.update({"nat": "single", "accelerators": [{"family": "g6"}]})
        assert draft.settings == Settings()
        draft.update({"accelerators": Settings().accelerators})
        assert draft.changed_names() == ()

    def test_valid_changes_are_kept_while_another_is_invalid(self) -> None:
        draft = Draft(Settings())
        draft.update({"az_count": 9})
        draft.update({"addons": {"opencost": False}})
        assert draft.error is not None
        assert draft.last_valid.addons == {"opencost": False}
        draft.update({"az_count": 3})
        assert draft.error is None
        assert (draft.settings.az_count, draft.settings.addons) == (3, {"opencost": False})

    def test_a_typed_secret_is_never_shown(self) -> None:
        draft = Draft(Settings())
        draft.update({"huggingface_token": "hf_secret"})
        assert draft.error is not None
        assert "hf_secret" not in f"{draft.change_texts()} {draft.error.lines()}"


class TestAddons:
    def test_dependencies_are_enabled_too_with_a_message(self) -> None:
        off = {"kube-prometheus-stack": False, "opencost": False, "ai-dashboards": False}
        result = addons.switch(resolved(make(addons=off)), "opencost", True)
        assert result.changes == {"addons": {"ai-dashboards": False}}
        assert result.messages == ("OpenCost needs Prometheus and Grafana: turned on as well.",)

    def test_the_catalog_of_the_stack_decides(self) -> None:
        hub = addon_catalog()["jupyterhub"]
        first = hub.model_copy(update={"name": "first", "title": "First", "needs": ()})
        catalog = {
            "first": first.model_copy(update={"default": False}),
            "second": first.model_copy(update={"name": "second", "needs": ("first",)}),
        }
        assert sum(map(len, addons.addons_by_group(catalog).values())) == 2
        # Switches of unknown add-ons are valid settings; only resolving the add-ons rejects them.
        result = addons.switch(resolved(Settings(), catalog), "second", True)
        assert result.changes == {"addons": {"first": True}}
        result = addons.switch(resolved(Settings(addons={"first": True}), catalog), "first", False)
        assert result.changes == {"addons": {"second": False}}

    def test_dependents_are_disabled_too(self) -> None:
        result = addons.switch(resolved(Settings()), "aws-ebs-csi-driver", False)
        assert {"jupyterhub", "opensearch", "opencost"} <= result.changes["addons"].keys()
        assert "OpenCost" in result.messages[0]

    def test_defaults_are_not_saved(self) -> None:
        result = addons.switch(resolved(make(addons={"argo-cd": False})), "argo-cd", True)
        assert result.changes == {"addons": {}}
        assert result.messages == ()

    def test_karpenter_stays_enabled_while_accelerators_need_it(self) -> None:
        result = addons.switch(resolved(Settings()), "karpenter", False)
        assert result.rejected
        assert not result.changes
        assert result.messages[0].startswith("Karpenter stays on: accelerators")

    def test_karpenter_is_a_setting_of_its_own(self) -> None:
        result = addons.switch(resolved(make(accelerators=[])), "karpenter", False)
        assert result.changes == {"karpenter": False, "addons": {}}

    def test_an_unused_add_on_has_a_note(self) -> None:
        neuron = addon_catalog()["neuron"]
        assert "No node here" in addons.notes(neuron, resolved(Settings()))[-1]
        assert addons.notes(neuron, resolved(make(accelerators=["inf2"]))) == ()

    def test_every_switch_gives_valid_settings(self) -> None:
        for name, addon in addon_catalog().items():
            result = addons.switch(resolved(make(accelerators=[])), name, not addon.default)
            after = make(accelerators=[]).with_changes(result.changes)
            assert not [
                line
                for line in settings_summary(resolved(after), region_snapshot(), TODAY)
                if line.mark == "poor"
            ]


class TestAccelerators:
    def row(
        self, family: str, settings: Settings, found: RegionSnapshot
    ) -> accelerators.AcceleratorRow:
        return next(r for r in accelerators.rows(settings, found) if r.family == family)

    def test_a_row_has_size_availability_price_and_quota(self) -> None:
        row = self.row("g6", Settings(), region_snapshot({G_ON_DEMAND: 32}))
        assert row.size == "g6.xlarge, 4 vCPUs"
        assert row.availability == ("good", "zones a, b, c")
        assert row.price.endswith("Spot 0.20")
        (quota,) = row.quotas
        assert (quota.mark, quota.text, row.needed_vcpus) == ("fair", "On-Demand 32", "4 to 64")

    def test_usage_of_others_is_subtracted(self) -> None:
        used = RunningInstances(instance_type="g5.xlarge", purchase="on-demand", count=1, vcpus=30)
        found = region_snapshot(quota_snapshot=quota_snapshot({G_ON_DEMAND: 32}, running=(used,)))
        (quota,) = self.row("g6", Settings(), found).quotas
        assert (quota.mark, quota.text) == ("poor", "On-Demand 32, 30 in use")

    def test_a_denied_call_is_unknown(self) -> None:
        found = region_snapshot(zones=DENIED, quota_snapshot=None)
        row = self.row("g6", Settings(), found)
        assert row.availability == ("unknown", "unknown")
        assert {quota.mark for quota in row.quotas} == {"unknown"}
        assert "JK-AWS-DENIED" in found.unanswered()[0]

    def test_a_family_that_the_region_lacks_is_rejected(self) -> None:
        with pytest.raises(JarkkitError, match="inf2 is not offered in us-west-2"):
            accelerators.selection_change((), Settings(), region_snapshot(), "inf2", True)

    def test_without_karpenter_no_family_can_be_selected(self) -> None:
        settings = make(accelerators=[], karpenter=False)
        with pytest.raises(JarkkitError, match="needs Karpenter"):
            accelerators.selection_change((), settings, region_snapshot(), "g6", True)

    def test_the_first_pool_stays_the_first(self) -> None:
        given = Settings().accelerators
        chosen = accelerators.selection_change(given, Settings(), region_snapshot(), "g5", True)[
            "accelerators"
        ]
        assert [pool["family"] for pool in chosen] == ["g6", "g5"]
        assert list(accelerators.pools_by_family(chosen)) == ["g6", "g5"]


class TestSettingsSummary:
    def marks(self, settings: Settings, found: RegionSnapshot) -> dict[str, Any]:
        return {
            line.title: line.mark for line in settings_summary(resolved(settings), found, TODAY)
        }

    def test_cost_follows_the_settings(self) -> None:
        cheap, expensive = (
            settings_summary(resolved(make(core_nodes=n)), region_snapshot(), TODAY)[0].value
            for n in (2, 4)
        )
        assert cheap != expensive
        assert cheap.endswith("USD per hour")

    def test_quotas_are_compared_for_the_current_settings(self) -> None:
        short = region_snapshot({STANDARD: 5})
        assert self.marks(Settings(), short)["Quotas"] == "poor"
        assert self.marks(Settings(), region_snapshot({STANDARD: 40}))["Quotas"] == "fair"
        assert self.marks(Settings(), region_snapshot())["Quotas"] == "good"
        assert self.marks(Settings(), RegionSnapshot("us-west-2"))["Quotas"] == "unknown"

    def test_an_unknown_type_is_sized_by_its_name(self) -> None:
        table = region_snapshot().quotas(resolved(make(core_instance_type="m6i.8xlarge")))
        assert table is not None
        assert table.row(STANDARD).now == 64

    def test_a_disabled_dependency_is_a_problem(self) -> None:
        settings = make(addons={"kube-prometheus-stack": False})
        lines = settings_summary(resolved(settings), region_snapshot(), TODAY)
        assert any("needs kube-prometheus-stack" in line.value for line in lines[3:])
        assert lines[2].mark == "unknown"  # how long it takes

    def test_a_family_that_is_not_offered_is_a_problem(self) -> None:
        assert self.marks(make(accelerators=["inf2"]), region_snapshot())["Accelerators"] == "poor"


class TestRegions:
    best = RegionResult(
        region="us-west-2",
        eks=True,
        version="standard",
        zones=("a", "b"),
        supplies=(InstanceSupply(wanted="g6", instance_type="g6.xlarge", zones=("a",)),),
        headroom=(Headroom(quota="x", name="G On-Demand", need=4, free=64, enough=True),),
        usd_per_hour=0.7,
        latency_ms=20,
    )
    poor = best.model_copy(update={"region": "eu-west-3", "missing": ("g6",)})
    short = best.model_copy(
        update={
            "region": "us-east-1",
            "headroom": (Headroom(quota="x", name="G On-Demand", need=4, free=0, enough=False),),
        }
    )
    comparison = RegionComparison(
        made="2026-11-27T10:00:00Z",
        version=CLUSTER_VERSIONS[-1],
        az_count=2,
        families=("g6",),
        regions=(best, short, poor),
        recommended="us-west-2",
    )

    def test_each_line_has_the_deciding_criteria(self) -> None:
        lines = regions.options(
            Settings(), self.comparison, ("us-west-2", "eu-north-1", "cn-north-1")
        )
        assert lines[0][0] == "us-west-2 · ✔ g6 · ✔ quota · 0.70 USD/h · 20 ms · recommended"
        assert "✘ quota 0 of 4 vCPUs (G On-Demand)" in lines[1][0]
        assert lines[2][0] == "eu-west-3 · ✘ without g6"
        assert lines[3] == ("eu-north-1 · not compared", "eu-north-1")

    def test_regions_of_other_partitions_are_left_out(self) -> None:
        names = [name for _, name in regions.options(Settings(), None, ("cn-north-1", "eu-west-1"))]
        assert names == ["eu-west-1", "us-west-2"]

    def test_a_comparison_for_other_families_says_so(self) -> None:
        assert "compare again" in regions.comparison_text(
            make(accelerators=["g5"]), self.comparison
        )
        assert "compare again" not in regions.comparison_text(Settings(), self.comparison)
        assert "? g5" in regions.region_text(make(accelerators=["g5"]), self.comparison, self.best)

    def test_versions_show_how_long_they_are_supported(self) -> None:
        late = ClusterVersion(version=CLUSTER_VERSIONS[0], support="EXTENDED_SUPPORT")
        versions = regions.versions(region_snapshot(versions=(late,)))
        lines = {version: line for line, version in versions}
        assert "extended support" in lines[CLUSTER_VERSIONS[0]]
        assert "standard support until" in lines[CLUSTER_VERSIONS[-1]]


class TestStatic:
    settings = make(admin_principals=["arn:aws:iam::123456789012:role/admin"])

    def test_the_page_shows_every_section_and_setting_without_account_ids(self) -> None:
        lines = settings_summary(resolved(self.settings), region_snapshot(), TODAY)
        page = read_only_view.html(
            resolved(self.settings), region_snapshot(), TestRegions.comparison, lines
        )
        text = read_only_view.text(resolved(self.settings), lines)
        for section in SECTIONS:
            assert f"<strong>{section.name}</strong>" in page
            assert f"{section.name}: " in text
        assert "g6.xlarge, 4 vCPUs" in page
        assert "USD per hour" in text
        assert "123456789012" not in page + text
        assert "1234…9012" in page

    def test_symbols_accompany_colors(self) -> None:
        for line in settings_summary(resolved(Settings()), region_snapshot({STANDARD: 5}), TODAY):
            if line.mark:
                assert SYMBOL[line.mark] in html.summary_bar([line])
