"""Build it: the AWS layer, and what comes after it, one phase after the other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator

from jarkkit.aws_layer import AwsLayer
from jarkkit.clock import monotonic, now
from jarkkit.cluster_access import kubeconfig
from jarkkit.errors import JarkkitError
from jarkkit.records import Deployed, Event, Plan, Target

# A phase does its part of a deployment. The AWS layer comes first; a cluster layer is one more
# entry of `PHASES`.
Phase = Callable[[AwsLayer, Target], Generator[Event, None, Plan]]

# Outputs of terraform/outputs.tf without which the journey cannot go on.
NEEDED_OUTPUTS = (
    "account_id",
    "cluster_name",
    "cluster_arn",
    "cluster_endpoint",
    "cluster_certificate_authority",
    "vpc_id",
)


def deploy(layer: AwsLayer) -> Generator[Event, None, Deployed]:
    """Carry out the saved plan, phase by phase, and read back what there is now.

    Safe to run again: what is done is checked, not done again; what was interrupted is taken up.
    Raises JK-PLAN-MISSING, JK-PLAN-STALE, JK-TF-… and JK-AWS-…
    """
    began = monotonic()
    target = layer.target()
    digest = ""
    for phase in PHASES:
        done = yield from phase(layer, target)
        digest = done.digest
    deployed = Deployed(
        time=now(),
        target=target,
        digest=digest,
        seconds=round(monotonic() - began, 1),
        outputs=_outputs(layer),
    )
    layer.workspace.save_kubeconfig(kubeconfig(deployed.outputs, _token_command(layer)))
    layer.workspace.save("deployed", deployed)
    return deployed


def aws_layer(layer: AwsLayer, target: Target) -> Generator[Event, None, Plan]:
    """The AWS layer, by the saved plan, or by a fresh one when an earlier run stopped half-way."""
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
    if not layer.unfinished() and not _applied(layer, saved):
        yield from layer.apply("deploy", saved)
        return saved
    return (yield from _again(layer, target, saved))


def _applied(layer: AwsLayer, saved: Plan) -> bool:
    """True when the saved plan was carried out already."""
    deployed = layer.workspace.load("deployed", Deployed)
    return deployed is not None and deployed.time > saved.made


def _again(layer: AwsLayer, target: Target, saved: Plan) -> Generator[Event, None, Plan]:
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
        yield from layer.apply("deploy", rest)
    return rest.model_copy(update={"digest": saved.digest})


PHASES: tuple[Phase, ...] = (aws_layer,)


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
