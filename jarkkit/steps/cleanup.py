"""Take it all down, in order, and prove that nothing is left."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Any

from jarkkit.aws_layer import AwsLayer
from jarkkit.checks import Check, Report
from jarkkit.clock import monotonic, now
from jarkkit.cluster.layer import ClusterLayer, Connect
from jarkkit.cluster.removal import remove_all
from jarkkit.errors import JarkkitError
from jarkkit.records import Cluster, Deployed, Event, Receipt, Target

_INSTANCES_SECONDS = 300.0
_LOOK_SECONDS = 5.0


def confirmed(name: str, confirm: str) -> None:
    """Raise JK-CONFIRM unless the deployment's own name was typed."""
    if confirm != name:
        raise JarkkitError(
            "JK-CONFIRM",
            f"Cleanup destroys everything of {name!r} and was not confirmed with its name.",
            f"Type the name: jarkkit cleanup {name} --confirm {name}, or confirm = {name!r} in "
            "the notebook.",
        )


def cleanup(layer: AwsLayer, connect: Connect | None) -> Generator[Event, None, Receipt]:
    """Empty the cluster, destroy the deployment and look everywhere for what is left.

    Safe to run again; a deployment that is gone already gives a receipt as well. Raises
    JK-CLEANUP-LEFT when something is left after the destroy; the receipt is saved before.
    """
    began = monotonic()
    target = layer.target()
    destroyed = 0
    yield from layer.settle("cleanup")
    if connect is not None:
        yield from _empty(layer, connect)
        yield from _last_instances(layer)
    if _was_planned(layer):
        destroyed = yield from _destroy(layer, target, adopt=layer.unfinished())
    yield Event(time=now(), step="cleanup", kind="phase", subject="receipt", status="started")
    left, looked, not_looked = layer.account.owned(layer.settings.name)
    if left:
        yield _warning(f"{len(left)} things are left that Terraform's state does not know")
        destroyed += yield from _destroy(layer, target, adopt=True)
        left, looked, not_looked = layer.account.owned(layer.settings.name)
    receipt = Receipt(
        time=now(),
        target=target,
        destroyed=destroyed,
        left=left,
        looked_at=looked,
        not_looked_at=not_looked,
        seconds=round(monotonic() - began, 1),
    )
    layer.workspace.save("receipt", receipt)
    if left:
        raise _left_over(receipt)
    for name in ("plan", "deployed", "cluster", "target"):
        layer.workspace.forget(name)
    layer.workspace.save_kubeconfig(None)
    yield Event(time=now(), step="cleanup", kind="phase", subject="receipt", status="done")
    return receipt


def _empty(layer: AwsLayer, connect: Connect) -> Iterator[Event]:
    """Remove what lives in the cluster, as far as the cluster can still be talked to: what it made
    in the account goes only while its controllers are there."""
    cluster = layer.account.cluster(layer.settings.name)
    if cluster is None:
        return
    try:
        inside = _inside(layer, connect, cluster)
    except JarkkitError as error:
        if not error.code.startswith("JK-KUBE-"):
            raise
        text = f"The cluster could not be emptied: {error.message} What it made is looked for."
        yield _warning(text, error.code)
        return
    yield from remove_all(inside, "cleanup")


def _inside(layer: AwsLayer, connect: Connect, cluster: Cluster) -> ClusterLayer:
    """The cluster layer of a cluster that answers. Raises JK-KUBE-…."""
    outputs = _outputs(layer)
    if cluster.status not in ("ACTIVE", "UPDATING") or not outputs.get("cluster_endpoint"):
        raise JarkkitError(
            "JK-KUBE-UNREACHABLE",
            f"It is {cluster.status}, or Terraform does not know its address.",
            "Nothing can be done about it; go on.",
        )
    inside = connect(outputs)
    inside.kube.version()
    return inside


def _last_instances(layer: AwsLayer) -> Iterator[Event]:
    """End the instances that Karpenter launched and did not end: nobody else would, and they keep
    the network from being deleted."""
    began, asked = monotonic(), frozenset[str]()
    while left := layer.account.launched_by_karpenter(layer.settings.name):
        if monotonic() - began > _INSTANCES_SECONDS:
            return  # Terraform will say what is in its way, and the receipt what is left
        if fresh := frozenset(left) - asked:
            asked |= fresh
            yield _warning(f"{len(fresh)} instances of Karpenter's are still there: ending them")
            layer.account.end_instances(sorted(fresh))
        layer.sleep(_LOOK_SECONDS)


def _outputs(layer: AwsLayer) -> Mapping[str, Any]:
    """Terraform's, also of a deploy that did not end."""
    deployed = layer.workspace.load("deployed", Deployed)
    if deployed is not None:
        return deployed.outputs
    return layer.terraform.outputs() if layer.terraform.initialised else {}


def _was_planned(layer: AwsLayer) -> bool:
    return bool(layer.workspace.tfvars())


def _destroy(layer: AwsLayer, target: Target, *, adopt: bool) -> Generator[Event, None, int]:
    """Destroy what is in Terraform's state; returns how many resources that were.

    Args:
        adopt: take over first what is in the account and not in the state.
    """
    yield from layer.prepare("cleanup")
    if adopt:
        yield from layer.adopt_now("cleanup", target)
    plan = yield from layer.plan("cleanup", target, file="destroy.tfplan", destroy=True)
    if plan.pending:
        yield from layer.apply("cleanup", plan)
    return len(plan.pending)


def _left_over(receipt: Receipt) -> JarkkitError:
    shown = [f"{item.terraform_type} {item.import_id}" for item in receipt.left]
    return JarkkitError(
        "JK-CLEANUP-LEFT",
        f"{len(receipt.left)} things of the deployment are still in the account.",
        "Run cleanup again: some things go only after others are gone. What stays is listed "
        "below with its id, to be removed by hand.",
        evidence="\n".join(shown[:40]),
    )


def _warning(message: str, code: str = "") -> Event:
    return Event(time=now(), step="cleanup", kind="warning", message=message, code=code)


def report(receipt: Receipt) -> Report:
    """The receipt as a report, for people."""
    checks = [_looked_at(place, receipt) for place in receipt.looked_at]
    checks += [
        Check(
            name=place,
            status="unknown",
            found="could not be looked at",
            fix="Look there yourself, or repeat the cleanup with credentials that may.",
        )
        for place in receipt.not_looked_at
    ]
    notes = tuple(f"left: {item.terraform_type} {item.import_id}" for item in receipt.left)
    return Report(title="Is nothing left?", checks=tuple(checks), notes=notes)


def _looked_at(place: str, receipt: Receipt) -> Check:
    left = sum(_is_in(item.terraform_type, place) for item in receipt.left)
    if left:
        return Check(name=place, status="fail", found=f"{left} left", needed="nothing")
    return Check(name=place, status="pass", found="nothing of the deployment")


def _is_in(terraform_type: str, place: str) -> bool:
    return terraform_type.removeprefix("aws_").split("_")[0] == place.split(" ")[0]
