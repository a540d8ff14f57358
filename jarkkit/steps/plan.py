"""Plan exactly what to create."""

from __future__ import annotations

from collections.abc import Generator

from jarkkit.decisions.plan_losses import CLUSTER, FILE_SYSTEM, loses, name_claims
from jarkkit.model.errors import JarkkitError
from jarkkit.model.events import StepEvent, warning
from jarkkit.model.records import AddonChange, AddonState, DeployResult, Plan
from jarkkit.steps.aws_layer import AwsLayer
from jarkkit.steps.cluster.cluster_layer import Connect
from jarkkit.steps.emptying import connect_to_existing


def plan(
    layer: AwsLayer, connect: Connect | None, *, upgrade: bool = False
) -> Generator[StepEvent, None, Plan]:
    """Create a plan for the settings and save it. Changes nothing in the account.

    Args:
        connect: how to reach the cluster layer; None in a sandbox without clusters.
        upgrade: move EKS add-ons and node images to the newest versions.

    Raises JK-SETTINGS-INVALID, JK-TARGET-MISMATCH, JK-TF-…, JK-AWS-….
    """
    target = layer.target()
    yield from layer.preflight_warning()
    layer.stack.check_file_system()
    yield from layer.wait_for_aws()
    yield from layer.prepare("plan", upgrade=upgrade)
    if layer.unfinished():
        yield from layer.untaint()
    made = yield from layer.plan(target)
    if connect is not None:
        made = yield from _with_addons(layer, connect, made)
    if connect is not None and (loses(made.changes, CLUSTER) or loses(made.changes, FILE_SYSTEM)):
        made = yield from _with_claims(layer, connect, made)
    layer.workspace.save("plan", made)
    layer.workspace.save("reports/plan", made)  # kept after cleanup, which deletes the plan itself
    return made


def _with_addons(layer: AwsLayer, connect: Connect, made: Plan) -> Generator[StepEvent, None, Plan]:
    """Return the plan with what it does to the add-ons."""
    try:
        changes = _addon_changes(layer, connect, made)
    except JarkkitError as error:
        yield warning(f"Which add-ons change is not known. {error.message}", error.code)
        return made.model_copy(update={"addons": None})
    return made.model_copy(update={"addons": changes})


def _addon_changes(layer: AwsLayer, connect: Connect, made: Plan) -> tuple[AddonChange, ...]:
    """Return what the deploy does to each add-on. Calls no cluster. Raises JK-CHART-MISSING."""
    deployed = layer.workspace.load("deployed", DeployResult)
    if deployed is None or loses(made.changes, CLUSTER):
        return tuple(
            AddonChange(
                name=addon.name, action="install", after=addon.chart.version if addon.chart else ""
            )
            for addon in layer.stack.addons
        )
    cluster = connect(deployed.outputs)
    records = cluster.install_state.load().addons
    changes = [
        AddonChange(
            name=addon.name,
            action=cluster.addon_spec(addon).change_since(records.get(addon.name)),
            before=_version(records.get(addon.name)),
            after=addon.chart.version if addon.chart else "",
        )
        for addon in layer.stack.addons
    ]
    removed = [
        AddonChange(name=name, action="remove", before=_version(record))
        for name, record in sorted(records.items())
        if name not in layer.stack.addon_names
    ]
    return (*changes, *removed)


def _version(record: AddonState | None) -> str:
    return record.chart.rpartition(" ")[2] if record else ""


def _with_claims(layer: AwsLayer, connect: Connect, made: Plan) -> Generator[StepEvent, None, Plan]:
    """Return the plan with the names of the claims that it loses, if the cluster answers."""
    cluster = layer.own_cluster()
    if cluster is None:
        return made
    try:
        kube = connect_to_existing(layer, connect, cluster).kube
        return name_claims(made, list(kube.list("v1", "PersistentVolume")))
    except JarkkitError as error:
        text = f"The claims that would be lost are not listed. {error.message}"
        yield warning(text, error.code)
        return made
