"""Plan exactly what to create."""

from __future__ import annotations

from collections.abc import Generator

from jarkkit.decisions.plan_losses import CLUSTER, FILE_SYSTEM, loses, name_claims
from jarkkit.model.errors import JarkkitError
from jarkkit.model.events import StepEvent, warning
from jarkkit.model.records import DeployResult, Plan
from jarkkit.steps.aws_layer import AwsLayer
from jarkkit.steps.cluster.cluster_layer import Connect
from jarkkit.steps.cluster.install_state import InstallState
from jarkkit.steps.emptying import connect_to_existing


def plan(
    layer: AwsLayer, connect: Connect | None, *, upgrade: bool = False
) -> Generator[StepEvent, None, Plan]:
    """Create a plan for the settings and save it. Changes nothing in the account.

    Args:
        connect: names the claims that would be lost; None in a sandbox without clusters.
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
    made = made.model_copy(update={"removed_addons": _removed_addons(layer)})
    if connect is not None and (loses(made.changes, CLUSTER) or loses(made.changes, FILE_SYSTEM)):
        made = yield from _with_claims(layer, connect, made)
    layer.workspace.save("plan", made)
    layer.workspace.save("reports/plan", made)  # kept after cleanup, which deletes the plan itself
    return made


def _removed_addons(layer: AwsLayer) -> tuple[str, ...]:
    """Return the add-ons that are installed and now switched off."""
    deployed = layer.workspace.load("deployed", DeployResult)
    if deployed is None:
        return ()
    installed = InstallState(layer.workspace, deployed.outputs).load().addons
    return tuple(sorted(name for name in installed if name not in layer.stack.addon_names))


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
