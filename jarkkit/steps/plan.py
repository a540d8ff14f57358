"""Plan exactly what to create."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial

from jarkkit.catalog.addons import Addon
from jarkkit.decisions.addons.templating import leaf_paths
from jarkkit.decisions.plan_losses import CLUSTER, FILE_SYSTEM, loses, name_claims
from jarkkit.model.errors import InvalidAddon, JarkkitError
from jarkkit.model.events import StepEvent, warning
from jarkkit.model.records import AddonAction, AddonChange, AddonState, DeployResult, Plan
from jarkkit.model.unknown import Unknown
from jarkkit.steps.aws_layer import AwsLayer
from jarkkit.steps.cluster.cluster_layer import ClusterLayer, Connect
from jarkkit.steps.cluster.install_state import InstallState
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
    if connect is None:
        made = made.model_copy(update={"addons": ()})
    else:
        made = yield from _with_addons(layer, connect, made)
    if connect is not None and (loses(made.changes, CLUSTER) or loses(made.changes, FILE_SYSTEM)):
        made = yield from _with_claims(layer, connect, made)
    layer.workspace.save("plan", made)
    layer.workspace.save("reports/plan", made)  # kept after cleanup, which deletes the plan itself
    return made


def _with_addons(layer: AwsLayer, connect: Connect, made: Plan) -> Generator[StepEvent, None, Plan]:
    """Return the plan with what it does to the add-ons. Calls no cluster."""
    # Terraform's part of the plan lists those that EKS manages.
    addons = [addon for addon in layer.stack.addons if addon.install != "eks"]
    deployed = layer.workspace.load("deployed", DeployResult)
    if deployed is None or _makes_cluster(made):
        new = [_addon_change(addon, None, "install") for addon in addons]
        return made.model_copy(update={"addons": tuple(new)})
    records = InstallState(layer.workspace, deployed.outputs).load().addons
    found: list[AddonChange] = []
    errors: list[JarkkitError] = []
    for addon in addons:
        record = records.get(addon.name)
        action = _action(partial(connect, deployed.outputs), addon, record)
        if isinstance(action, Unknown):
            errors.append(action.reason)
            action = "unknown"
        found.append(_addon_change(addon, record, action))
    if errors:
        text = f"Whether some add-ons change is not known. {errors[0].message}"
        yield warning(text, errors[0].code)
    removed = [
        AddonChange(name=name, action="remove", before=_version(record))
        for name, record in sorted(records.items())
        if name not in layer.stack.addon_names
    ]
    return made.model_copy(update={"addons": (*found, *removed)})


def _makes_cluster(made: Plan) -> bool:
    return any(c.type == CLUSTER and c.action in ("create", "replace") for c in made.changes)


def _action(
    connect: Callable[[], ClusterLayer], addon: Addon, record: AddonState | None
) -> AddonAction | Unknown:
    """Return what the deploy does to an add-on."""
    if record is None or not record.digest:
        return "install"
    try:
        return connect().addon_spec(addon).change_since(record)
    except InvalidAddon:  # it refers to an output that exists only after the apply
        return "change"
    except JarkkitError as error:
        return Unknown(error)


def _addon_change(addon: Addon, record: AddonState | None, action: AddonAction) -> AddonChange:
    return AddonChange(
        name=addon.name,
        action=action,
        before=_version(record),
        after=addon.chart.version if addon.chart else "",
        user_values=leaf_paths(addon.user_values),
    )


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
