"""What a plan says about the add-ons in the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Action, AddonState, Plan, ResourceChange
from jarkkit.render import html, text
from jarkkit.steps.cluster.cluster_layer import ClusterLayer
from jarkkit.steps.plan import _makes_cluster
from tests.support.fakes.cluster import cluster_layer
from tests.support.fakes.deployment import DeploymentHarness, FakeConnect
from tests.support.stacks import BARE

ADDON = "kuberay-operator"


def layer_of(harness: DeploymentHarness) -> ClusterLayer:
    """Return the cluster layer on fakes, with the deployment's stack."""
    stack = harness.deployment.stack
    layer = cluster_layer(harness.deployment.workspace, stack.addons)
    return replace(layer, stack=stack)


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
    # Terraform's part of the plan lists those that EKS manages.
    assert {change.name for change in plan.pending_addons["change"]} == {ADDON}
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
    assert ADDON in {change.name for change in plan.pending_addons["unknown"]}
    assert not plan.changes_nothing
    assert "not known whether they change" in text.text(plan)
    assert "not known whether they change" in html.html(plan)


def test_an_add_on_that_waits_for_an_output_of_the_apply_changes(
    deployed: DeploymentHarness,
) -> None:
    layer = layer_of(deployed)
    folder = deployed.deployment.folder / "values"
    folder.mkdir()
    (folder / f"{ADDON}.yaml").write_text("a: x${prometheus.endpoint}\n")
    assert layer.outputs.get("prometheus") is None
    plan = new_plan(deployed)
    assert ADDON in {change.name for change in plan.pending_addons["change"]}


def test_karpenter_can_be_planned_where_terraform_has_not_made_its_resources(
    deployed: DeploymentHarness,
) -> None:
    connect = deployed.deployment._connecting
    assert connect is not None

    def without_karpenter(outputs: Mapping[str, Any]) -> ClusterLayer:
        layer = connect(outputs)
        missing = {k: v for k, v in layer.outputs.items() if k != "node_instance_profile_name"}
        return replace(layer, outputs=missing)

    deployed.deployment._connecting = without_karpenter
    deployed.deployment.configure({"karpenter": True})
    plan = new_plan(deployed)
    assert {change.name for change in plan.pending_addons["install"]} == {"karpenter"}


def test_a_cluster_that_is_made_again_gets_every_add_on(deployed: DeploymentHarness) -> None:
    """It was deleted: Terraform creates it, and what was installed is gone."""
    plan = new_plan(deployed)

    def with_cluster(action: Action) -> Plan:
        change = ResourceChange(
            address="module.cluster.aws_eks_cluster.this",
            type="aws_eks_cluster",
            area="cluster",
            action=action,
        )
        return plan.model_copy(update={"changes": (change,)})

    assert _makes_cluster(with_cluster("create"))
    assert _makes_cluster(with_cluster("replace"))
    assert not _makes_cluster(with_cluster("update"))


def test_a_plan_made_before_add_ons_were_compared_says_so(deployed: DeploymentHarness) -> None:
    old = new_plan(deployed).model_copy(update={"addons": None, "changes": ()})
    assert not old.changes_nothing
    assert "Which add-ons change is not known" in text.text(old)
    assert "Which add-ons change is not known" in html.html(old)


class TestUserValues:
    TEXT = "image: {repository: example.org/ours}\nreplicas: 2\nregion: ${settings.region}\n"

    def write(self, harness: DeploymentHarness, text: str = TEXT, name: str = ADDON) -> None:
        folder = harness.deployment.folder / "values"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.yaml").write_text(text)

    def test_they_override_the_catalog_and_are_named_in_the_plan(
        self, deployed: DeploymentHarness
    ) -> None:
        self.write(deployed)
        plan = new_plan(deployed)
        (change,) = plan.pending_addons["change"]
        assert change.user_values == ("image.repository", "replicas", "region")
        shown = f"Your own Helm values: {ADDON} (image.repository, replicas, region)."
        assert shown in text.text(plan)
        assert shown in html.html(plan)
        layer = layer_of(deployed)
        (addon,) = [each for each in layer.stack.addons if each.name == ADDON]
        values = layer.addon_spec(addon).values
        assert values["image"] == {
            **addon.values.get("image", {}),
            "repository": "example.org/ours",
        }
        assert values["region"] == deployed.deployment.settings.region

    def test_a_plan_without_them_is_out_of_date(self, deployed: DeploymentHarness) -> None:
        new_plan(deployed)
        self.write(deployed)
        with pytest.raises(JarkkitError, match="JK-PLAN-STALE"):
            list(deployed.deployment.deploy())

    @pytest.mark.parametrize(
        ("name", "text", "code", "shown"),
        [
            ("kubray-operator", "a: 1\n", "JK-SETTINGS-UNKNOWN", "Did you mean 'kuberay-operator'"),
            ("vpc-cni", "a: 1\n", "JK-SETTINGS-INVALID", "has no Helm chart"),
            (ADDON, "a: [1\n", "JK-SETTINGS-SYNTAX", f"values/{ADDON}.yaml line 2"),
            (ADDON, "- a\n", "JK-SETTINGS-SYNTAX", "the values of a chart"),
        ],
    )
    def test_an_invalid_file_is_an_error_with_its_place(
        self, harness: DeploymentHarness, name: str, text: str, code: str, shown: str
    ) -> None:
        self.write(harness, text, name)
        with pytest.raises(JarkkitError) as caught:
            harness.plan()
        assert caught.value.code == code
        assert shown in f"{caught.value.message} {caught.value.fix}"

    @pytest.mark.parametrize(
        ("name", "text", "status", "found"),
        [
            (ADDON, TEXT, "pass", ADDON),
            (ADDON, "a: ${nonsense}\n", "fail", "refers to ${nonsense}"),
            (ADDON, "a: $${nonsense}\n", "pass", ADDON),
            ("opencost", "a: 1\n", "warn", "opencost, which is off"),
        ],
    )
    def test_preflight_checks_them(
        self, harness: DeploymentHarness, name: str, text: str, status: str, found: str
    ) -> None:
        harness.deployment.configure({**BARE, "addons": {**BARE["addons"], ADDON: True}})
        self.write(harness, text, name)
        report = harness.deployment.preflight()
        (check,) = [each for each in report.checks if each.name == "Your own Helm values"]
        assert check.status == status
        assert found in check.found
