"""What a plan says about the add-ons in the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import AddonState, Plan
from jarkkit.render import html, text
from jarkkit.steps.cluster.cluster_layer import ClusterLayer
from tests.support.fakes.cluster import cluster_layer
from tests.support.fakes.deployment import DeploymentHarness, FakeConnect
from tests.support.stacks import BARE

ADDON = "kuberay-operator"


def layer_of(harness: DeploymentHarness) -> ClusterLayer:
    """Return the cluster layer on fakes, with the add-ons that the settings enable."""
    stack = harness.deployment._layer().stack
    return cluster_layer(harness.deployment.workspace, stack.addons, settings=stack.settings)


class Connect:
    """Connects to the cluster layer on fakes."""

    def __init__(self, harness: DeploymentHarness) -> None:
        self.harness = harness

    def __call__(self, outputs: Mapping[str, Any]) -> ClusterLayer:
        return layer_of(self.harness)


@pytest.fixture
def deployed(harness: DeploymentHarness) -> DeploymentHarness:
    """A deployed deployment whose one add-on is installed as its settings say."""
    harness.deployment.configure({**BARE, "addons": {**BARE["addons"], ADDON: True}})
    harness.deploy()
    install(harness)
    harness.deployment._connecting = Connect(harness)
    return harness


def install(harness: DeploymentHarness, **different: Any) -> None:
    """Record every add-on as installed."""
    layer = layer_of(harness)
    for addon in layer.stack.addons:
        spec = layer.addon_spec(addon)
        layer.install_state.save_addon(
            addon.name, spec.record(spec.digest).model_copy(update=different)
        )


def new_plan(harness: DeploymentHarness) -> Plan:
    harness.plan()
    plan = harness.deployment.last_plan()
    assert plan is not None
    return plan


def test_a_first_plan_installs_every_add_on(harness: DeploymentHarness) -> None:
    harness.deployment.configure({**BARE, "addons": {**BARE["addons"], ADDON: True}})
    harness.deployment._connecting = FakeConnect()  # there is no cluster to ask
    plan = new_plan(harness)
    (added,) = [change for change in plan.addons or () if change.name == ADDON]
    assert (added.action, added.before, bool(added.after)) == ("install", "", True)
    assert f"{ADDON} {added.after}" in text.text(plan)
    assert f"{ADDON} {added.after}" in html.html(plan)


def test_nothing_changes_when_all_is_as_the_settings_say(deployed: DeploymentHarness) -> None:
    deployed.terraform.replacing = ()
    plan = new_plan(deployed)
    assert {change.action for change in plan.addons or ()} == {"none"}
    assert plan.pending_addons == {}


@pytest.mark.parametrize(
    ("different", "shown"),
    [
        ({"chart": f"{ADDON} 0.1.0"}, "(0.1.0 → "),
        ({"digest": "other"}, "(values)"),
    ],
)
def test_a_changed_add_on_is_named_with_what_changes(
    deployed: DeploymentHarness, different: dict[str, str], shown: str
) -> None:
    install(deployed, **{"digest": "other", **different})
    plan = new_plan(deployed)
    assert {change.name for change in plan.pending_addons["change"]} == {
        addon.name for addon in deployed.deployment._layer().stack.addons
    }
    for page in (text.text(plan), html.html(plan)):
        assert shown in page
        assert "Nothing to change" not in page


def test_an_add_on_that_is_switched_off_is_removed(deployed: DeploymentHarness) -> None:
    layer_of(deployed).install_state.save_addon(
        "opencost", AddonState(namespace="opencost", chart="opencost 1.2.3", digest="x")
    )
    plan = new_plan(deployed)
    (removed,) = plan.pending_addons["remove"]
    assert (removed.name, removed.before) == ("opencost", "1.2.3")
    assert "without their volumes" in text.text(plan)


def test_a_chart_that_is_missing_leaves_the_add_ons_unknown(deployed: DeploymentHarness) -> None:
    missing = JarkkitError("JK-CHART-MISSING", "A chart is missing.", "Download it.")
    deployed.deployment._connecting = FakeConnect(missing)
    warnings = [event for event in deployed.deployment.plan() if event.kind == "warning"]
    assert "A chart is missing" in warnings[-1].message
    plan = deployed.deployment.last_plan()
    assert plan is not None
    assert plan.addons is None
    assert not plan.changes_nothing
    assert "Which add-ons change is not known" in text.text(plan)
    assert "Which add-ons change is not known" in html.html(plan)
