"""Deploy the AWS layer, then the cluster layer."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from jarkkit.decisions.durations.estimate import cluster_layer_seconds
from jarkkit.decisions.plan_losses import CLUSTER, loses, require_confirmation
from jarkkit.model.clock import monotonic, now
from jarkkit.model.errors import JarkkitError
from jarkkit.model.events import StepEvent, warning
from jarkkit.model.records import DeployResult, Plan, Target
from jarkkit.ports.charts import ChartStore
from jarkkit.steps.aws_layer import AwsLayer
from jarkkit.steps.cluster.cluster_layer import Connect
from jarkkit.steps.cluster.installer import install, remove_disabled_addons
from jarkkit.steps.cluster.kubeconfig import kubeconfig
from jarkkit.steps.emptying import empty_replaced_cluster

NO_CLUSTER_MESSAGE = "This sandbox simulates only the account: no add-ons are installed."

# Outputs in terraform/outputs.tf that later steps require.
REQUIRED_OUTPUTS = (
    "account_id",
    "cluster_name",
    "cluster_arn",
    "cluster_endpoint",
    "cluster_certificate_authority",
    "vpc_id",
)


def deploy(
    layer: AwsLayer,
    connect: Connect | None,
    charts: ChartStore,
    *,
    confirm: str = "",
    allow_orphans: bool = False,
) -> Generator[StepEvent, None, DeployResult]:
    """Apply the saved plan, install the add-ons, and read back the outputs.

    Safe to run again: it checks finished work instead of repeating it, and resumes interrupted
    work.

    Args:
        connect: None in a sandbox without clusters, which skips the cluster layer.
        confirm: the deployment's name, as you typed it, where the plan loses what users have.
        allow_orphans: replace a cluster even if it cannot be emptied first.

    Raises JK-CONFIRM, JK-CLUSTER-NOT-EMPTIED, JK-PLAN-MISSING, JK-PLAN-STALE, JK-TF-…, JK-AWS-…,
    JK-ADDON-…, JK-CHART-…, JK-HELM-…, JK-KUBE-…, JK-DEPLOYMENT-DAMAGED.
    """
    began = monotonic()
    target = layer.target()
    saved = _saved_plan(layer, target)
    check_confirmation(layer, confirm)
    if connect is not None:
        # These fail now, before the AWS layer costs money.
        layer.stack.check_addons()
        charts.find_all(layer.stack.charts)
    layer.save_applied_permissions(complete=False)
    # A cluster that is replaced loses all add-ons.
    if connect is not None and not loses(saved.changes, CLUSTER):
        yield from _remove_disabled(layer, connect)
    after = cluster_layer_seconds(layer.stack) if connect else 0.0
    applier = _Applier(layer, connect, confirm, allow_orphans, after)
    plan = yield from apply_aws_layer(applier, target, saved)
    layer.save_applied_permissions(complete=True)
    yield from layer.protect_cluster()
    deployed = DeployResult(
        time=now(),
        target=target,
        digest=plan.digest,
        seconds=round(monotonic() - began, 1),
        outputs=_outputs(layer),
    )
    layer.workspace.save_kubeconfig(kubeconfig(deployed.outputs, _token_command(layer)))
    # Saved before the add-ons: if one fails, you can still inspect and use the rest.
    layer.workspace.save("deployed", deployed)
    if connect is None:
        yield warning(NO_CLUSTER_MESSAGE)
        return deployed
    yield from layer.ensure_cluster_access()
    yield from install(connect(deployed.outputs))
    whole = deployed.model_copy(update={"seconds": round(monotonic() - began, 1)})
    layer.workspace.save("deployed", whole)
    return whole


def _remove_disabled(layer: AwsLayer, connect: Connect) -> Iterator[StepEvent]:
    """Remove add-ons that were switched off, while their AWS permissions still exist."""
    deployed = layer.workspace.load("deployed", DeployResult)
    if deployed is not None and not layer.unfinished():
        yield from remove_disabled_addons(connect(deployed.outputs))


def _saved_plan(layer: AwsLayer, target: Target) -> Plan:
    """Load the saved plan. Raises JK-PLAN-MISSING, JK-PLAN-STALE."""
    saved = layer.workspace.load("plan", Plan)
    if saved is None:
        raise JarkkitError(
            "JK-PLAN-MISSING", "There is no plan to apply.", "Create one: jarkkit plan"
        )
    if saved.digest != layer.digest(target):
        raise JarkkitError(
            "JK-PLAN-STALE",
            "The plan is out of date: the settings or the configuration changed since.",
            "Create a new plan and review it: jarkkit plan",
        )
    return saved


def check_confirmation(layer: AwsLayer, confirm: str) -> None:
    """Raise JK-CONFIRM if the deploy would apply a saved plan whose losses are not confirmed.

    Callers check it before the step is recorded. The deploy checks every plan that it applies.
    """
    saved = layer.workspace.load("plan", Plan)
    if saved is None or layer.unfinished() or _applied(layer, saved):
        return  # then the deploy makes a plan of its own, or rejects this one
    if saved.digest == layer.digest(saved.target):
        require_confirmation(layer.settings.name, saved, confirm)


@dataclass(frozen=True)
class _Applier:
    """Applies plans: checks the confirmation, and empties a cluster before AWS deletes it.

    Attributes:
        allow_orphans: go on if the cluster cannot be emptied.
        after: estimated seconds for the rest of the step.
    """

    layer: AwsLayer
    connect: Connect | None
    confirm: str
    allow_orphans: bool
    after: float

    def apply(self, plan: Plan) -> Iterator[StepEvent]:
        layer = self.layer
        require_confirmation(layer.settings.name, plan, self.confirm)
        if loses(plan.changes, CLUSTER):
            if self.connect is not None:
                yield from empty_replaced_cluster(
                    layer, self.connect, allow_orphans=self.allow_orphans
                )
            yield from layer.unprotect_cluster()
            layer.workspace.discard("deployed")  # it describes the cluster that goes now
        yield from layer.apply(plan, after=self.after)


def apply_aws_layer(
    applier: _Applier, target: Target, saved: Plan
) -> Generator[StepEvent, None, Plan]:
    """Apply the saved plan, or a fresh one when an earlier run stopped halfway."""
    layer = applier.layer
    if not layer.unfinished() and not _applied(layer, saved):
        yield from applier.apply(saved)
        return saved
    return (yield from _resume(applier, target, saved))


def _applied(layer: AwsLayer, saved: Plan) -> bool:
    """Return True when the saved plan was already applied."""
    deployed = layer.workspace.load("deployed", DeployResult)
    return deployed is not None and deployed.time > saved.made


def _resume(applier: _Applier, target: Target, saved: Plan) -> Generator[StepEvent, None, Plan]:
    """Check what exists, plan the rest, and apply it."""
    layer = applier.layer
    resuming = layer.unfinished()
    yield from layer.wait_for_aws()
    yield from layer.prepare("deploy")
    if resuming:
        yield from layer.untaint()
    rest = yield from layer.plan(target, file="resume.tfplan")
    if not resuming and rest.pending:
        raise JarkkitError(
            "JK-PLAN-STALE",
            f"The plan was applied, and the account has changed since: {len(rest.pending)} "
            "resources differ.",
            "Review the differences first: jarkkit plan. Then deploy again.",
        )
    if rest.pending:
        yield from applier.apply(rest)
    return rest.model_copy(update={"digest": saved.digest})


def _token_command(layer: AwsLayer) -> tuple[str, ...]:
    """Return the command that kubectl runs for a token, from any folder."""
    home = layer.workspace.folder.parent.parent
    command = (sys.executable, "-m", "jarkkit", "token", layer.workspace.name)
    return (*command, "--home", str(home))


def _outputs(layer: AwsLayer) -> dict[str, object]:
    outputs = layer.terraform.outputs()
    missing = [name for name in REQUIRED_OUTPUTS if not outputs.get(name)]
    if missing:
        raise JarkkitError(
            "JK-TF-OUTPUT",
            f"Terraform's state has no value for: {', '.join(missing)}.",
            "Run the step again. If it fails again, create a new plan: jarkkit plan",
        )
    return outputs
