"""The form's widgets, driven as a browser does: tests set a value and check the effects."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import ipywidgets as w
import pytest

from jarkkit.model.errors import JarkkitError
from jarkkit.notebook.form import Form, panes
from jarkkit.notebook.form.fields import label
from jarkkit.notebook.form.panes import AddonsPane, Pane
from jarkkit.notebook.form.sections import SECTIONS
from jarkkit.settings import Settings
from tests.support.fakes.deployment import DeploymentHarness
from tests.support.poll import wait_for


@pytest.fixture
def form(harness: DeploymentHarness) -> Form:
    found = Form(harness.deployment)
    found.controller.load_region(wait_seconds=60)
    return found


def walk(box: Any) -> Iterator[Any]:
    yield box
    for child in getattr(box, "children", ()):
        yield from walk(child)


def find(form: Form, words: str) -> Any:
    """Return the input with that label, as a user finds it on the page."""
    for each in walk(form.page.box):
        shown = (getattr(each, "description", ""), getattr(each, "value", None))
        if words in shown and not isinstance(each, w.Button):
            return each
    raise AssertionError(f"no {words}")


def press(form: Form, words: str) -> None:
    buttons = (each for each in walk(form.page.box) if isinstance(each, w.Button))
    next(button for button in buttons if button.description == words).click()


def page_text(form: Form) -> str:
    return "".join(each.value for each in walk(form.page.box) if isinstance(each, w.HTML))


def set_value(form: Form, words: str, value: Any) -> None:
    box = find(form, words)
    box.value = str(value) if isinstance(box, w.Text) else value


def choose_region(form: Form, region: str) -> None:
    """Choose a Region and wait until it is loaded."""
    set_value(form, "Region", region)
    wait_for(lambda: not form.controller.busy, pause=0.01)


def test_the_form_returns_the_given_values(harness: DeploymentHarness) -> None:
    changes = {"az_count": 3, "accelerators": ["g6", "inf2"]}
    assert Form(harness.deployment, changes).value == harness.deployment.settings.with_changes(
        changes
    )
    assert Form(harness.deployment).value == harness.deployment.settings


def test_invalid_changes_are_rejected_at_once(harness: DeploymentHarness) -> None:
    with pytest.raises(JarkkitError) as caught:
        Form(harness.deployment, {"az_count": 9})
    assert caught.value.code == "JK-SETTINGS-INVALID"


def test_every_setting_has_an_input(form: Form) -> None:
    labels = {
        "cluster_version": "Kubernetes",
        "addons": "OpenCost",
        "accelerators": "g6 · NVIDIA L4",
    }
    for section in SECTIONS:
        form.page.open(section.name)
        for name in section.fields:
            assert find(form, labels.get(name, label(name)))


def test_a_section_shows_its_values_from_its_first_moment(form: Form) -> None:
    first: list[bool] = []

    def on_shown(change: Any) -> None:
        first.extend(
            each.value
            for each in walk(change["new"][-1])
            if getattr(each, "description", "") == "OpenCost"
        )

    form.page._stack.observe(on_shown, names="children")
    form.page.open("Add-ons")
    assert first == [True]


def test_a_new_section_is_filled_once(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    filled: list[Pane] = []

    class RecordingPane(AddonsPane):
        def refresh(self) -> None:
            filled.append(self)
            super().refresh()

    monkeypatch.setattr(panes, "AddonsPane", RecordingPane)
    form.page.open("Add-ons")
    assert len(filled) == 1


def test_edits_become_settings(form: Form) -> None:
    form.page.open("Network")
    set_value(form, "Availability Zones", 3)
    set_value(form, "NAT gateways", "per-az")
    form.page.open("More")
    set_value(form, "Tags", "team=research, cost-center=4711")
    value = form.value
    assert (value.az_count, value.nat) == (3, "per-az")
    assert value.tags == {"team": "research", "cost-center": "4711"}
    assert "3 unsaved changes" in page_text(form)


def test_an_invalid_value_is_shown_at_once_and_not_saved(
    form: Form, harness: DeploymentHarness
) -> None:
    form.page.open("Network")
    set_value(form, "Availability Zones", 9)
    assert "JK-SETTINGS-INVALID" in page_text(form)
    with pytest.raises(JarkkitError):
        _ = form.value
    press(form, "Save")
    assert "Not saved" in page_text(form)
    assert harness.deployment.settings == Settings()
    set_value(form, "Availability Zones", 3)
    assert "JK-SETTINGS-INVALID" not in page_text(form)


def test_saving_writes_the_settings_and_confirms_it(form: Form, harness: DeploymentHarness) -> None:
    form.page.open("Network")
    set_value(form, "Availability Zones", 3)
    press(form, "Save")
    assert harness.deployment.settings.az_count == 3
    assert "Saved to settings.yaml: 1 change." in page_text(form)
    assert "No unsaved changes" in page_text(form)


def test_dependent_add_ons_are_switched_together(form: Form) -> None:
    form.page.open("Add-ons")
    set_value(form, "Prometheus and Grafana", False)
    assert find(form, "OpenCost").value is False
    assert "OpenCost need Prometheus and Grafana: turned off as well" in page_text(form)
    set_value(form, "OpenCost", True)
    assert find(form, "Prometheus and Grafana").value is True
    assert form.value.addons == {"ai-dashboards": False}


def test_an_invalid_selection_is_undone(form: Form) -> None:
    form.page.open("Add-ons")
    set_value(form, "Karpenter", False)
    assert find(form, "Karpenter").value is True
    assert "Karpenter stays on" in page_text(form)
    form.page.open("Accelerators")
    set_value(form, "trn1 · AWS Trainium", True)
    assert find(form, "trn1 · AWS Trainium").value is False
    assert "trn1 is not offered in us-west-2" in page_text(form)


def test_a_family_is_selected_with_its_purchase_option(form: Form) -> None:
    form.page.open("Accelerators")
    set_value(form, "g6 · NVIDIA L4", False)
    assert not form.value.accelerators
    set_value(form, "p5 · NVIDIA H100", True)
    (pool,) = form.value.accelerators
    assert (pool.family, pool.capacity) == ("p5", ("on-demand",))
    assert "p5.4xlarge in use" in page_text(form)  # the cost of one more instance


@pytest.mark.parametrize("typed", ["2.5", "1e3", "three", "", "0x3"])
def test_a_number_field_refuses_what_it_does_not_understand(form: Form, typed: str) -> None:
    before = form.value.az_count
    form.page.open("Network")
    set_value(form, "Availability Zones", typed)
    assert "is not a whole number" in page_text(form)
    assert find(form, "Availability Zones").value == typed
    assert form.controller.settings.az_count == before
    set_value(form, "Availability Zones", " 3 ")
    assert form.value.az_count == 3


def test_an_incomplete_value_is_kept(form: Form) -> None:
    form.page.open("Accelerators")
    set_value(form, "reserved", True)
    assert "in capacity_reservations" in page_text(form)
    assert find(form, "reserved").value is True
    set_value(form, "g6 at most (vCPUs)", 128)
    set_value(form, "p5 · NVIDIA H100", True)
    assert find(form, "reserved").value is True
    set_value(form, "Capacity reservations", "cr-0123456789abcdef0")
    first, second = form.value.accelerators
    assert (first.capacity, first.max_vcpus) == (("on-demand", "reserved"), 128)
    assert second.family == "p5"


def test_fields_of_a_provider_appear_with_it(form: Form) -> None:
    form.page.open("JupyterHub")
    issuer = find(form, "Issuer URL")
    row = next(box for box in walk(form.page.box) if issuer in getattr(box, "children", ()))
    assert row.layout.display == "none"
    set_value(form, "JupyterHub login", "oidc")
    assert row.layout.display != "none"
    assert "needs jupyterhub_oidc_issuer" in page_text(form)
    set_value(form, "Issuer URL", "https://login.example.org")
    set_value(form, "Client ID", "hub")
    set_value(form, "Client secret", "env:HUB_SECRET")
    assert form.value.jupyterhub_auth == "oidc"


def test_another_region_is_loaded_once_in_the_background(
    form: Form, harness: DeploymentHarness
) -> None:
    choose_region(form, "eu-west-1")
    assert form.value.region == "eu-west-1"
    assert form.controller.region_snapshot.region == "eu-west-1"
    set_value(form, "Region", "us-west-2")
    assert not form.controller.busy
    assert form.controller.region_snapshot.zones is not None


def test_a_region_that_could_not_be_loaded_is_loaded_when_chosen_again(
    form: Form, harness: DeploymentHarness
) -> None:
    offline = JarkkitError("JK-AWS-UNREACHABLE", "No connection.", "Connect.")
    harness.account.availability.failing = {"zones": offline}
    choose_region(form, "eu-west-1")
    assert "JK-AWS-UNREACHABLE" in page_text(form)
    harness.account.availability.failing = {}
    choose_region(form, "us-west-2")
    choose_region(form, "eu-west-1")
    assert "JK-AWS-UNREACHABLE" not in page_text(form)
    assert form.controller.region_snapshot.unanswered() == ()


def test_the_names_of_the_regions_are_read_once(
    form: Form, harness: DeploymentHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = harness.deployment.region_names()
    reads: list[None] = []

    def region_names() -> tuple[str, ...]:
        reads.append(None)
        return names

    monkeypatch.setattr(harness.deployment, "region_names", region_names)
    for _ in range(3):
        form.page.refresh()
    assert len(reads) == 1


def test_values_of_one_region_are_removed_with_it(harness: DeploymentHarness) -> None:
    zones = ["us-west-2a", "us-west-2b"]
    form = Form(harness.deployment, {"availability_zones": zones})
    form.page.open("Region")
    choose_region(form, "eu-west-1")
    assert form.value.availability_zones == ()
    assert "exist only in us-west-2: availability_zones" in page_text(form)


def test_a_change_makes_no_calls(form: Form, harness: DeploymentHarness) -> None:
    before = len(harness.account.availability.calls)
    form.page.open("Accelerators")
    set_value(form, "g6 · NVIDIA L4", False)
    form.page.open("Size")
    set_value(form, "Core nodes", 3)
    assert len(harness.account.availability.calls) == before


def test_a_denied_account_is_unknown_and_no_failure(
    harness: DeploymentHarness,
) -> None:
    denied = JarkkitError("JK-AWS-DENIED", "Not allowed.", "Ask.")
    harness.account.availability.failing = dict.fromkeys(("zones", "types", "spot_prices"), denied)
    form = Form(harness.deployment)
    form.controller.load_region(wait_seconds=60)
    assert "JK-AWS-DENIED" in page_text(form)
    assert "USD per hour" in page_text(form)
    assert form.value == Settings()


def test_the_form_stays_usable_during_a_region_comparison(
    form: Form, harness: DeploymentHarness
) -> None:
    harness.account.availability.regions = ("us-west-2", "eu-west-1")
    started, go_on = threading.Event(), threading.Event()
    real = harness.account.availability.enabled_regions

    def slow() -> tuple[str, ...]:
        started.set()
        go_on.wait(60)
        return real()

    harness.account.availability.enabled_regions = slow  # type: ignore[method-assign]
    press(form, "Compare all Regions")
    assert started.wait(60)
    form.page.open("Network")
    set_value(form, "Availability Zones", 3)
    assert form.value.az_count == 3
    go_on.set()
    wait_for(lambda: not form.controller.busy, pause=0.01)
    form.page.open("Region")
    assert "recommended" in " ".join(line for line, _ in find(form, "Region").options)
    assert harness.deployment.last_region_comparison() is not None


def test_an_unattended_form_shows_tables(
    harness: DeploymentHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    form = Form(harness.deployment, {"az_count": 3}, editable=False)
    form._ipython_display_()
    assert "Availability Zones: 3" in capsys.readouterr().out
    assert "quota" in form._plain()["text/html"].lower()
