"""The form's widgets, driven as a browser does: a value is set, and it is looked what follows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import ipywidgets as w
import pytest

from jarkkit.errors import JarkkitError
from jarkkit.form import Form
from jarkkit.form.fields import label
from jarkkit.form.sections import SECTIONS
from jarkkit.settings import Settings
from tests.kit.conftest import World


@pytest.fixture
def form(world: World) -> Form:
    found = Form(world.kit)
    found.desk.look(wait_seconds=5)
    return found


def walk(box: Any) -> Iterator[Any]:
    yield box
    for child in getattr(box, "children", ()):
        yield from walk(child)


def find(form: Form, words: str) -> Any:
    """The input with that label, as somebody finds it who looks at the page."""
    for each in walk(form.page.box):
        shown = (getattr(each, "description", ""), getattr(each, "value", None))
        if words in shown and not isinstance(each, w.Button):
            return each
    raise AssertionError(f"no {words}")


def press(form: Form, words: str) -> None:
    buttons = (each for each in walk(form.page.box) if isinstance(each, w.Button))
    next(button for button in buttons if button.description == words).click()


def said(form: Form) -> str:
    return "".join(each.value for each in walk(form.page.box) if isinstance(each, w.HTML))


def give(form: Form, words: str, value: Any) -> None:
    find(form, words).value = value


def until(so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_gives_what_it_was_given(world: World) -> None:
    changes = {"az_count": 3, "accelerators": ["g6", "inf2"]}
    assert Form(world.kit, changes).value == world.kit.settings.changed(changes)
    assert Form(world.kit).value == world.kit.settings


def test_changes_that_cannot_be_are_refused_at_once(world: World) -> None:
    with pytest.raises(JarkkitError) as caught:
        Form(world.kit, {"az_count": 9})
    assert caught.value.code == "JK-SETTINGS-INVALID"


def test_every_setting_can_be_reached(form: Form) -> None:
    labels = {
        "cluster_version": "Kubernetes",
        "addons": "OpenCost",
        "accelerators": "g6 · NVIDIA L4",
    }
    for section in SECTIONS:
        form.page.open(section.name)
        for name in section.fields:
            assert find(form, labels.get(name, label(name)))


def test_edits_are_read_as_settings(form: Form) -> None:
    form.page.open("Network")
    give(form, "Availability Zones", 3)
    give(form, "NAT gateways", "per-az")
    form.page.open("More")
    give(form, "Tags", "team=research, cost-center=4711")
    value = form.value
    assert (value.az_count, value.nat) == (3, "per-az")
    assert value.tags == {"team": "research", "cost-center": "4711"}
    assert "3 changes to be saved" in said(form)


def test_a_value_that_cannot_work_is_told_at_once_and_not_saved(form: Form, world: World) -> None:
    form.page.open("Network")
    give(form, "Availability Zones", 9)
    assert "JK-SETTINGS-INVALID" in said(form)
    with pytest.raises(JarkkitError):
        _ = form.value
    press(form, "Save")
    assert "Not saved" in said(form)
    assert world.kit.settings == Settings()
    give(form, "Availability Zones", 3)
    assert "JK-SETTINGS-INVALID" not in said(form)


def test_saving_writes_the_settings_and_says_so(form: Form, world: World) -> None:
    form.page.open("Network")
    give(form, "Availability Zones", 3)
    press(form, "Save")
    assert world.kit.settings.az_count == 3
    assert "Saved to settings.yaml: 1 change." in said(form)
    assert "As saved" in said(form)


def test_add_ons_that_belong_together_are_switched_together(form: Form) -> None:
    form.page.open("Add-ons")
    give(form, "Prometheus and Grafana", False)
    assert find(form, "OpenCost").value is False
    assert "OpenCost need Prometheus and Grafana: switched off, too" in said(form)
    give(form, "OpenCost", True)
    assert find(form, "Prometheus and Grafana").value is True
    assert form.value.addons == {"ai-dashboards": False}


def test_a_choice_that_cannot_be_goes_back(form: Form) -> None:
    form.page.open("Add-ons")
    give(form, "Karpenter", False)
    assert find(form, "Karpenter").value is True
    assert "Karpenter stays on" in said(form)
    form.page.open("Accelerators")
    give(form, "trn1 · AWS Trainium", True)
    assert find(form, "trn1 · AWS Trainium").value is False
    assert "trn1 is not offered in us-west-2" in said(form)


def test_a_family_is_chosen_with_how_it_is_bought(form: Form) -> None:
    form.page.open("Accelerators")
    give(form, "g6 · NVIDIA L4", False)
    assert form.value.accelerators == ()
    give(form, "p5 · NVIDIA H100", True)
    (pool,) = form.value.accelerators
    assert (pool.family, pool.capacity) == ("p5", ("on-demand",))
    assert "p5.4xlarge in use" in said(form)  # what one more costs


def test_what_does_not_fit_yet_stays_as_it_was_given(form: Form) -> None:
    form.page.open("Accelerators")
    give(form, "reserved", True)
    assert "needs capacity_reservations" in said(form)
    assert find(form, "reserved").value is True
    give(form, "g6 at most (vCPUs)", 128)
    give(form, "p5 · NVIDIA H100", True)
    assert find(form, "reserved").value is True
    give(form, "Capacity reservations", "cr-0123456789abcdef0")
    first, second = form.value.accelerators
    assert (first.capacity, first.max_vcpus) == (("on-demand", "reserved"), 128)
    assert second.family == "p5"


def test_fields_of_a_provider_appear_with_it(form: Form) -> None:
    form.page.open("JupyterHub")
    issuer = find(form, "Issuer URL")
    row = next(box for box in walk(form.page.box) if issuer in getattr(box, "children", ()))
    assert row.layout.display == "none"
    give(form, "JupyterHub login", "oidc")
    assert row.layout.display != "none"
    assert "needs jupyterhub_oidc_issuer" in said(form)
    give(form, "Issuer URL", "https://login.example.org")
    give(form, "Client id", "hub")
    give(form, "Client secret", "env:HUB_SECRET")
    assert form.value.jupyterhub_auth == "oidc"


def test_another_region_is_asked_once_and_not_in_the_way(form: Form, world: World) -> None:
    give(form, "Region", "eu-west-1")
    assert form.value.region == "eu-west-1"
    until(lambda: not form.desk.busy)
    assert form.desk.prospect.region == "eu-west-1"
    give(form, "Region", "us-west-2")
    assert not form.desk.busy
    assert form.desk.prospect.zones is not None


def test_what_is_in_one_region_only_stays_behind(world: World) -> None:
    zones = ["us-west-2a", "us-west-2b"]
    form = Form(world.kit, {"availability_zones": zones})
    form.page.open("Region")
    give(form, "Region", "eu-west-1")
    until(lambda: not form.desk.busy)
    assert form.value.availability_zones == ()
    assert "only us-west-2 has it: availability_zones" in said(form)


def test_a_change_asks_nobody(form: Form, world: World) -> None:
    before = len(world.account.offers.asked)
    form.page.open("Accelerators")
    give(form, "g6 · NVIDIA L4", False)
    form.page.open("Size")
    give(form, "Core nodes", 3)
    assert len(world.account.offers.asked) == before


def test_an_account_that_does_not_answer_is_unknown_and_no_failure(world: World) -> None:
    denied = JarkkitError("JK-AWS-DENIED", "Not allowed.", "Ask.")
    world.account.offers.failing = dict.fromkeys(("zones", "types", "spot_prices"), denied)
    form = Form(world.kit)
    form.desk.look(wait_seconds=5)
    assert "JK-AWS-DENIED" in said(form)
    assert "USD per hour" in said(form)
    assert form.value == Settings()


def test_regions_are_compared_while_the_form_can_be_used(form: Form, world: World) -> None:
    world.account.offers.regions = ("us-west-2", "eu-west-1")
    begun, go_on = threading.Event(), threading.Event()
    real = world.account.offers.enabled_regions

    def slow() -> tuple[str, ...]:
        begun.set()
        go_on.wait(5)
        return real()

    world.account.offers.enabled_regions = slow  # type: ignore[method-assign]
    press(form, "Look at all Regions")
    assert begun.wait(5)
    form.page.open("Network")
    give(form, "Availability Zones", 3)
    assert form.value.az_count == 3
    go_on.set()
    until(lambda: not form.desk.busy)
    form.page.open("Region")
    assert "recommended" in " ".join(line for line, _ in find(form, "Region").options)
    assert world.kit.last_survey() is not None


def test_without_anybody_there_it_shows_tables(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    form = Form(world.kit, {"az_count": 3}, editable=False)
    form._ipython_display_()
    assert "Availability Zones: 3" in capsys.readouterr().out
    assert "quota" in form._plain()["text/html"].lower()
