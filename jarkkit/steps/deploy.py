"""Build it: the AWS layer, then the cluster layer."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator

from jarkkit.addons import choice
from jarkkit.addons.order import needs
from jarkkit.aws_layer import AwsLayer
from jarkkit.charts import Charts
from jarkkit.clock import monotonic, now
from jarkkit.cluster.access import kubeconfig
from jarkkit.cluster.installer import install, remove_what_is_off
from jarkkit.cluster.layer import Connect
from jarkkit.durations.whole import cluster_layer_seconds
from jarkkit.errors import JarkkitError
from jarkkit.records import Deployed, Event, Plan, Target

NO_CLUSTERS = "This sandbox has an account alone: no add-on is installed into the cluster."

# Outputs of terraform/outputs.tf without which the journey cannot go on.
NEEDED_OUTPUTS = (
    "account_id",
    "cluster_name",
    "cluster_arn",
    "cluster_endpoint",
    "cluster_certificate_authority",
    "vpc_id",
)


def deploy(
    layer: AwsLayer, connect: Connect | None, charts: Charts
) -> Generator[Event, None, Deployed]:
    """Carry out the saved plan, install the add-ons, and read back what there is now.

    Safe to run again: what is done is checked, not done again; what was interrupted is taken up.

    Args:
        connect: None where clusters have no API: then the cluster layer is left out.

    Raises JK-PLAN-MISSING, JK-PLAN-STALE, JK-TF-…, JK-AWS-…, JK-ADDON-…, JK-CHART-…, JK-HELM-…,
    JK-KUBE-….
    """
    began = monotonic()
    target = layer.target()
    saved = _saved_plan(layer, target)
    if connect is not None:
        needs(choice.chosen(layer.settings))  # said now, not when the AWS layer costs money
        charts.require(choice.charts(layer.settings))
        yield from _let_go(layer, connect)
    after = cluster_layer_seconds(layer.settings) if connect else 0.0
    plan = yield from aws_layer(layer, target, saved, after)
    deployed = Deployed(
        time=now(),
        target=target,
        digest=plan.digest,
        seconds=round(monotonic() - began, 1),
        outputs=_outputs(layer),
    )
    layer.workspace.save_kubeconfig(kubeconfig(deployed.outputs, _token_command(layer)))
    # Also when an add-on fails: then it is looked at, and used, as far as it goes.
    layer.workspace.save("deployed", deployed)
    if connect is None:
        yield Event(time=now(), step="deploy", kind="warning", message=NO_CLUSTERS)
        return deployed
    yield from install(connect(deployed.outputs))
    whole = deployed.model_copy(update={"seconds": round(monotonic() - began, 1)})
    layer.workspace.save("deployed", whole)
    return whole


def _let_go(layer: AwsLayer, connect: Connect) -> Iterator[Event]:
    """Remove what was switched off while its AWS permissions are still there."""
    deployed = layer.workspace.load("deployed", Deployed)
    if deployed is not None and not layer.unfinished():
        yield from remove_what_is_off(connect(deployed.outputs), "deploy")


def _saved_plan(layer: AwsLayer, target: Target) -> Plan:
    """Raises JK-PLAN-MISSING, JK-PLAN-STALE."""
    saved = layer.workspace.load("plan", Plan)
    if saved is None:
        raise JarkkitError(
            "JK-PLAN-MISSING", "There is no plan to carry out.", "Make one: jarkkit plan"
        )
    if saved.digest != layer.digest(target):
        raise JarkkitError(
            "JK-PLAN-STALE",
            "The plan was made for other settings or another configuration.",
            "Make it again and look at it: jarkkit plan",
        )
    return saved


def aws_layer(
    layer: AwsLayer, target: Target, saved: Plan, after: float = 0.0
) -> Generator[Event, None, Plan]:
    """The AWS layer, by the saved plan, or by a fresh one when an earlier run stopped half-way."""
    if not layer.unfinished() and not _applied(layer, saved):
        yield from layer.apply("deploy", saved, after=after)
        return saved
    return (yield from _again(layer, target, saved, after))


def _applied(layer: AwsLayer, saved: Plan) -> bool:
    """True when the saved plan was carried out already."""
    deployed = layer.workspace.load("deployed", Deployed)
    return deployed is not None and deployed.time > saved.made


def _again(
    layer: AwsLayer, target: Target, saved: Plan, after: float
) -> Generator[Event, None, Plan]:
    """Look at what is there, plan the rest, and carry that out."""
    resuming = layer.unfinished()
    yield from layer.settle("deploy")
    yield from layer.prepare("deploy")
    if resuming:
        yield from layer.untaint("deploy")
    rest = yield from layer.plan("deploy", target, file="resume.tfplan")
    if not resuming and rest.pending:
        raise JarkkitError(
            "JK-PLAN-STALE",
            f"The plan is carried out, and the account has changed since: {len(rest.pending)} "
            "resources differ.",
            "Look at the differences first: jarkkit plan. Then deploy again.",
        )
    if rest.pending:
        yield from layer.apply("deploy", rest, after=after)
    return rest.model_copy(update={"digest": saved.digest})


def _token_command(layer: AwsLayer) -> tuple[str, ...]:
    """What kubectl runs for a token, wherever it is called from."""
    home = layer.workspace.folder.parent.parent
    command = (sys.executable, "-m", "jarkkit", "token", layer.workspace.name)
    return (*command, "--home", str(home))


def _outputs(layer: AwsLayer) -> dict[str, object]:
    outputs = layer.terraform.outputs()
    missing = [name for name in NEEDED_OUTPUTS if not outputs.get(name)]
    if missing:
        raise JarkkitError(
            "JK-TF-OUTPUT",
            f"Terraform's state has no value for: {', '.join(missing)}.",
            "Run the step again. If it stays so, make the plan again: jarkkit plan",
        )
    return outputs
