"""What the form shows and what a change entails, without widgets and without an account."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jarkkit.addons.catalogue import catalogue
from jarkkit.costs.table import PriceTable
from jarkkit.errors import JarkkitError
from jarkkit.form import accelerators, addons, drawing, fields, regions, static
from jarkkit.form.draft import Draft
from jarkkit.form.outlook import outlook
from jarkkit.form.sections import SECTIONS, at_fault, matters, summary
from jarkkit.inquiries.prospect import Prospect
from jarkkit.inquiries.quota_table import Standing
from jarkkit.quotas.codes import QUOTAS
from jarkkit.quotas.values import InForce, Running
from jarkkit.records import ClusterVersion, Zone
from jarkkit.settings import CLUSTER_VERSIONS, Settings
from jarkkit.survey import Headroom, Supply, Survey, Surveyed
from tests.kit.fake_quotas import TYPES

TODAY = "2026-11-27"
G_ON_DEMAND, STANDARD = "L-DB2E81BA", "L-1216C47A"
ZONES = tuple(Zone(name=f"us-west-2{letter}", zone_id=f"usw2-az{letter}") for letter in "abc")
DENIED = JarkkitError("JK-AWS-DENIED", "These credentials may not do that.", "Ask for it.")


def standing(values: dict[str, float] | None = None, **update: Any) -> Standing:
    """Plenty of every quota, except of those that are named; nothing runs."""
    plenty = dict.fromkeys(QUOTAS, 1000.0) | (values or {})
    held = {c: InForce(value=v, applied=True, asked=TODAY) for c, v in plenty.items()}
    plain = Standing("us-west-2", "us-east-1", TYPES, held, (), {}, ())
    return replace(plain, **update)


def prospect(values: dict[str, float] | None = None, **update: Any) -> Prospect:
    types = {name: frozenset(z.name for z in ZONES) for name in TYPES if not name.startswith("inf")}
    answers: dict[str, Any] = {
        "zones": ZONES,
        "types": types,
        "spot": {"g6.xlarge": {"us-west-2a": 0.3, "us-west-2b": 0.2}},
        "versions": tuple(ClusterVersion(version=v, support="STANDARD") for v in CLUSTER_VERSIONS),
        "standing": standing(values),
    }
    return Prospect("us-west-2", PriceTable.shipped(), **{**answers, **update})


def make(**values: Any) -> Settings:
    return Settings.make(values)


class TestSections:
    def test_every_setting_is_in_one_of_them(self) -> None:
        placed = [name for section in SECTIONS for name in section.fields]
        assert sorted(placed) == sorted(Settings.model_fields)

    def test_each_says_what_is_chosen_in_it(self) -> None:
        said = {s.name: summary(s, make(accelerators=["g6", "inf2"])) for s in SECTIONS}
        assert said["Accelerators"] == "g6, inf2"
        assert said["Region"] == f"us-west-2, {CLUSTER_VERSIONS[-1]}"

    def test_fields_of_a_provider_matter_with_one_only(self) -> None:
        name = "jupyterhub_oidc_issuer"
        assert not matters(name, Draft(Settings()).input)
        draft = Draft(Settings())
        draft.put({"jupyterhub_auth": "oidc"})  # does not fit yet, and must be seen all the same
        assert draft.error is not None
        assert matters(name, draft.input)

    def test_an_error_is_shown_where_its_setting_is(self) -> None:
        draft = Draft(Settings())
        draft.put({"az_count": 9})
        assert [s.name for s in SECTIONS if at_fault(s, draft.error)] == ["Network"]


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
    def test_what_is_written_is_read_as_the_same(self, name: str, value: Any, written: Any) -> None:
        assert fields.written(name, value) == written
        assert fields.read(name, written) == value

    def test_tags_without_a_value_are_refused_in_words(self) -> None:
        with pytest.raises(JarkkitError, match="key=value"):
            fields.read("tags", "team")

    def test_each_setting_has_a_kind_of_input(self) -> None:
        kinds = {fields.kind(name) for name in Settings.model_fields}
        assert kinds == {"switch", "choice", "number", "several", "list", "pairs", "text", "own"}


class TestDraft:
    def test_it_begins_with_the_changes_that_are_given(self) -> None:
        draft = Draft(Settings(), {"az_count": 3})
        assert draft.settings.az_count == 3
        assert draft.changed() == ("az_count",)
        assert draft.told() == ("az_count: 2 → 3",)

    def test_what_is_put_back_is_no_change(self) -> None:
        draft = Draft(Settings())
        draft.put({"nat": "per-az", "accelerators": ()})
        draft.put({"nat": "single", "accelerators": [{"family": "g6"}]})
        assert draft.settings == Settings()
        draft.put({"accelerators": Settings().accelerators})
        assert draft.changed() == ()

    def test_what_fits_goes_on_while_something_else_does_not(self) -> None:
        draft = Draft(Settings())
        draft.put({"az_count": 9})
        draft.put({"addons": {"opencost": False}})
        assert draft.error is not None
        assert draft.last.addons == {"opencost": False}
        draft.put({"az_count": 3})
        assert draft.error is None
        assert (draft.settings.az_count, draft.settings.addons) == (3, {"opencost": False})

    def test_a_secret_that_was_typed_is_never_told(self) -> None:
        draft = Draft(Settings())
        draft.put({"huggingface_token": "hf_secret"})
        assert draft.error is not None
        assert "hf_secret" not in f"{draft.told()} {draft.error.lines()}"


class TestAddons:
    def test_what_is_needed_is_switched_on_too_and_told(self) -> None:
        off = {"kube-prometheus-stack": False, "opencost": False, "ai-dashboards": False}
        done = addons.switch(make(addons=off), "opencost", True)
        assert done.changes == {"addons": {"ai-dashboards": False}}
        assert done.said == ("OpenCost needs Prometheus and Grafana: switched on, too.",)

    def test_what_needs_it_goes_with_it(self) -> None:
        done = addons.switch(Settings(), "aws-ebs-csi-driver", False)
        assert {"jupyterhub", "opensearch", "opencost"} <= done.changes["addons"].keys()
        assert "OpenCost" in done.said[0]

    def test_defaults_are_not_written_down(self) -> None:
        done = addons.switch(make(addons={"argo-cd": False}), "argo-cd", True)
        assert done.changes == {"addons": {}}
        assert done.said == ()

    def test_karpenter_stays_while_accelerators_need_it(self) -> None:
        done = addons.switch(Settings(), "karpenter", False)
        assert done.refused
        assert not done.changes
        assert done.said[0].startswith("Karpenter stays on: accelerators")

    def test_karpenter_is_a_setting_of_its_own(self) -> None:
        done = addons.switch(make(accelerators=[]), "karpenter", False)
        assert done.changes == {"karpenter": False, "addons": {}}

    def test_one_should_know_that_nothing_uses_it(self) -> None:
        neuron = catalogue()["neuron"]
        assert "No node here" in addons.notes(neuron, Settings())[-1]
        assert addons.notes(neuron, make(accelerators=["inf2"])) == ()

    def test_every_switch_leads_to_settings_that_fit(self) -> None:
        for name, addon in catalogue().items():
            done = addons.switch(make(accelerators=[]), name, not addon.default)
            after = make(accelerators=[]).changed(done.changes)
            assert not [line for line in outlook(after, prospect(), TODAY) if line.mark == "poor"]


class TestAccelerators:
    def row(self, family: str, settings: Settings, found: Prospect) -> accelerators.Row:
        return next(r for r in accelerators.rows(settings, found) if r.family == family)

    def test_a_row_says_what_where_how_much_and_whether_it_may(self) -> None:
        row = self.row("g6", Settings(), prospect({G_ON_DEMAND: 32}))
        assert row.size == "g6.xlarge, 4 vCPUs"
        assert row.availability == ("good", "zones a, b, c")
        assert row.price.endswith("Spot 0.20")
        (room,) = row.rooms
        assert (room.mark, room.words, row.need) == ("fair", "On-Demand 32", "4 to 64")

    def test_what_others_use_is_not_free(self) -> None:
        used = Running(instance_type="g5.xlarge", purchase="on-demand", count=1, vcpus=30)
        found = prospect(standing=standing({G_ON_DEMAND: 32}, running=(used,)))
        (room,) = self.row("g6", Settings(), found).rooms
        assert (room.mark, room.words) == ("poor", "On-Demand 32, 30 in use")

    def test_what_could_not_be_asked_is_unknown(self) -> None:
        found = prospect(zones=DENIED, standing=None)
        row = self.row("g6", Settings(), found)
        assert row.availability == ("unknown", "not known")
        assert {room.mark for room in row.rooms} == {"unknown"}
        assert "JK-AWS-DENIED" in found.unanswered()[0]

    def test_a_family_that_the_region_lacks_is_refused_with_the_reason(self) -> None:
        with pytest.raises(JarkkitError, match="inf2 is not offered in us-west-2"):
            accelerators.choose((), Settings(), prospect(), "inf2", True)

    def test_without_karpenter_none_can_be_chosen(self) -> None:
        settings = make(accelerators=[], karpenter=False)
        with pytest.raises(JarkkitError, match="needs Karpenter"):
            accelerators.choose((), settings, prospect(), "g6", True)

    def test_the_first_pool_stays_the_first(self) -> None:
        given = Settings().accelerators
        chosen = accelerators.choose(given, Settings(), prospect(), "g5", True)["accelerators"]
        assert [pool["family"] for pool in chosen] == ["g6", "g5"]
        assert list(accelerators.pools(chosen)) == ["g6", "g5"]


class TestOutlook:
    def marks(self, settings: Settings, found: Prospect) -> dict[str, Any]:
        return {line.title: line.mark for line in outlook(settings, found, TODAY)}

    def test_cost_follows_what_is_chosen(self) -> None:
        cheap, dear = (outlook(make(core_nodes=n), prospect(), TODAY)[0].said for n in (2, 4))
        assert cheap != dear
        assert cheap.endswith("USD per hour")

    def test_quotas_are_judged_for_what_is_chosen_now(self) -> None:
        short = prospect({STANDARD: 5})
        assert self.marks(Settings(), short)["Quotas"] == "poor"
        assert self.marks(Settings(), prospect({STANDARD: 40}))["Quotas"] == "fair"
        assert self.marks(Settings(), prospect())["Quotas"] == "good"
        assert self.marks(Settings(), Prospect("us-west-2"))["Quotas"] == "unknown"

    def test_the_size_of_a_type_that_was_not_asked_about_is_in_its_name(self) -> None:
        table = prospect().quotas(make(core_instance_type="m6i.8xlarge"))
        assert table is not None
        assert table.row(STANDARD).now == 64

    def test_a_need_that_is_switched_off_stands_in_the_way(self) -> None:
        settings = make(addons={"kube-prometheus-stack": False})
        lines = outlook(settings, prospect(), TODAY)
        assert any("needs kube-prometheus-stack" in line.said for line in lines[3:])
        assert lines[2].mark == "unknown"  # how long it takes

    def test_a_family_that_is_not_offered_stands_in_the_way(self) -> None:
        assert self.marks(make(accelerators=["inf2"]), prospect())["Accelerators"] == "poor"


class TestRegions:
    best = Surveyed(
        region="us-west-2",
        eks=True,
        version="standard",
        zones=("a", "b"),
        supplies=(Supply(wanted="g6", instance_type="g6.xlarge", zones=("a",)),),
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
    survey = Survey(
        made="2026-11-27T10:00:00Z",
        version=CLUSTER_VERSIONS[-1],
        az_count=2,
        families=("g6",),
        regions=(best, short, poor),
        recommended="us-west-2",
    )

    def test_each_line_says_what_decides(self) -> None:
        lines = regions.options(Settings(), self.survey, ("us-west-2", "eu-north-1", "cn-north-1"))
        assert lines[0][0] == "us-west-2 · ✔ g6 · ✔ quota · 0.70 USD/h · 20 ms · recommended"
        assert "✘ quota 0 of 4 vCPUs (G On-Demand)" in lines[1][0]
        assert lines[2][0] == "eu-west-3 · ✘ without g6"
        assert lines[3] == ("eu-north-1 · not compared", "eu-north-1")

    def test_regions_of_other_partitions_are_no_choice(self) -> None:
        names = [name for _, name in regions.options(Settings(), None, ("cn-north-1", "eu-west-1"))]
        assert names == ["eu-west-1", "us-west-2"]

    def test_a_survey_for_other_families_says_so(self) -> None:
        assert "compare again" in regions.told(make(accelerators=["g5"]), self.survey)
        assert "compare again" not in regions.told(Settings(), self.survey)
        assert "? g5" in regions.line(make(accelerators=["g5"]), self.survey, self.best)

    def test_versions_say_how_long_they_are_supported(self) -> None:
        late = ClusterVersion(version=CLUSTER_VERSIONS[0], support="EXTENDED_SUPPORT")
        lines = dict(map(reversed, regions.versions(prospect(versions=(late,)))))  # type: ignore[arg-type]
        assert "extended support" in lines[CLUSTER_VERSIONS[0]]
        assert "standard support until" in lines[CLUSTER_VERSIONS[-1]]


class TestStatic:
    settings = make(admin_principals=["arn:aws:iam::123456789012:role/admin"])

    def test_it_shows_every_section_and_setting_without_account_ids(self) -> None:
        lines = outlook(self.settings, prospect(), TODAY)
        page = static.html(self.settings, prospect(), TestRegions.survey, lines)
        text = static.text(self.settings, lines)
        for section in SECTIONS:
            assert f"<strong>{section.name}</strong>" in page
            assert f"{section.name}: " in text
        assert "g6.xlarge, 4 vCPUs" in page
        assert "USD per hour" in text
        assert "123456789012" not in page + text
        assert "1234…9012" in page

    def test_signs_stand_beside_colours(self) -> None:
        for line in outlook(Settings(), prospect({STANDARD: 5}), TODAY):
            if line.mark:
                assert drawing.SYMBOL[line.mark] in drawing.bar([line])
