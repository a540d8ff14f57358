"""Empties a cluster before AWS deletes it: cleanup, and a deploy that replaces the cluster.

What the cluster created in the account can be deleted cleanly only while its controllers run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jarkkit.model.errors import ApiCallError, JarkkitError, Unreachable
from jarkkit.model.events import StepEvent, warning
from jarkkit.model.polling import poll
from jarkkit.model.records import (
    ClusterState,
    DeployResult,
    EksCluster,
    Step,
    UnemptiedCluster,
)
from jarkkit.steps.aws_layer import AwsLayer
from jarkkit.steps.cluster.cluster_layer import ClusterLayer, Connect
from jarkkit.steps.cluster.uninstaller import remove_all
from jarkkit.steps.leftover_removal import described

# The file with the reason why the cluster was not emptied.
UNEMPTIED = "unemptied"

_INSTANCES_SECONDS = 300.0
_POLL_SECONDS = 5.0
_MAX_NAMED = 40
# What the cluster's controllers create and EKS does not delete with the cluster.
_OUTLIVES_CLUSTER = (
    "aws_lb",
    "aws_elb",
    "aws_lb_target_group",
    "aws_ebs_volume",
    "aws_ebs_snapshot",
    "aws_fsx_file_system",
)


@dataclass(frozen=True)
class _Outcome:
    """How the emptying of a cluster ended.

    Attributes:
        why_not: what it did not do; empty if the cluster is empty or does not exist.
        begun: it deleted what it could. Otherwise the cluster is as it was.
    """

    why_not: str = ""
    begun: bool = False


def empty_cluster(layer: AwsLayer, connect: Connect, step: Step) -> Generator[StepEvent, None, str]:
    """Delete what runs in the cluster, then the instances that outlived Karpenter.

    Returns why the cluster could not be emptied: then load balancers, volumes and others can be
    left in the account. Returns an empty text if it was emptied or does not exist.
    """
    outcome = yield from _empty(layer, connect, step)
    yield from _last_instances(layer)
    return outcome.why_not


def empty_replaced_cluster(
    layer: AwsLayer, connect: Connect, *, allow_orphans: bool
) -> Iterator[StepEvent]:
    """Empty the cluster that a deploy is about to destroy or replace.

    A cluster that never worked has nothing in it.

    Args:
        allow_orphans: continue if that fails; the next cleanup reports it in its receipt.

    Raises JK-CLUSTER-NOT-EMPTIED: then the cluster and everything in Terraform's state still exist.
    Its message says whether what was in the cluster does.
    """
    cluster = layer.own_cluster()
    if cluster is not None and _never_worked(layer, cluster):
        return
    outcome = yield from _empty(layer, connect, "deploy")
    if outcome.why_not and not allow_orphans:
        raise _not_emptied(layer, outcome)
    running = yield from _last_instances(layer)
    why_not = " ".join(filter(None, (outcome.why_not, running)))
    outcome = _Outcome(why_not, begun=outcome.begun)
    if not why_not:
        _forget(layer, cluster)
        return
    if not allow_orphans:
        raise _not_emptied(layer, outcome)
    _remember(layer, cluster, why_not)
    yield warning(f"The cluster is deleted although it was not emptied. {why_not}")


def of_another_cluster(layer: AwsLayer, cluster: EksCluster | None) -> str:
    """Return why a deploy did not empty a cluster that it replaced; empty if it did, or if that
    cluster still exists as `cluster`: then its deletion failed."""
    known = layer.workspace.load(UNEMPTIED, UnemptiedCluster)
    if known is None or not known.replaced or _is_same(known, cluster):
        return ""
    return known.reason


def _remember(layer: AwsLayer, cluster: EksCluster | None, why_not: str) -> None:
    """Record that this cluster is deleted with something in it, beside one replaced before it."""
    earlier = of_another_cluster(layer, cluster)
    reason = " ".join(filter(None, (earlier, "" if why_not in earlier else why_not)))
    endpoint = "" if earlier or cluster is None else cluster.endpoint
    record = UnemptiedCluster(reason=reason, replaced=True, endpoint=endpoint)
    layer.workspace.save(UNEMPTIED, record)


def _forget(layer: AwsLayer, cluster: EksCluster | None) -> None:
    """Discard the record of this cluster, which is empty now."""
    known = layer.workspace.load(UNEMPTIED, UnemptiedCluster)
    if known is not None and _is_same(known, cluster):
        layer.workspace.discard(UNEMPTIED)


def _is_same(known: UnemptiedCluster, cluster: EksCluster | None) -> bool:
    return bool(cluster and known.endpoint and known.endpoint == cluster.endpoint)


def terraform_outputs(layer: AwsLayer) -> Mapping[str, Any]:
    """Return Terraform's outputs, even those of an incomplete deploy."""
    deployed = layer.workspace.load("deployed", DeployResult)
    if deployed is not None:
        return deployed.outputs
    return layer.terraform.outputs() if layer.terraform.initialised else {}


def connect_to_existing(layer: AwsLayer, connect: Connect, cluster: EksCluster) -> ClusterLayer:
    """Return the cluster layer of a cluster that answers. Raises JK-KUBE-…."""
    outputs = terraform_outputs(layer)
    if cluster.status not in ("ACTIVE", "UPDATING") or not outputs.get("cluster_endpoint"):
        raise Unreachable(
            "JK-KUBE-UNREACHABLE",
            f"It is {cluster.status}, or its address is not in Terraform's state.",
            "You need not do anything; the step continues.",
        )
    inside = connect(outputs)
    inside.kube.version()
    return inside


def _empty(layer: AwsLayer, connect: Connect, step: Step) -> Generator[StepEvent, None, _Outcome]:
    cluster = layer.own_cluster()
    if cluster is None:
        return _Outcome()
    try:
        if cluster.status == "ACTIVE":
            yield from layer.ensure_cluster_access()
        inside = connect_to_existing(layer, connect, cluster)
    except ApiCallError as error:
        scans = " Cleanup scans the account instead." if step == "cleanup" else ""
        yield warning(f"Cannot empty the cluster. {error.message}{scans}", error.code)
        return _Outcome(error.message)
    left = yield from remove_all(inside)
    return _Outcome("; ".join(left), begun=True)


def _never_worked(layer: AwsLayer, cluster: EksCluster) -> bool:
    """Return True for a cluster that EKS could not create, so that nothing was installed in it."""
    if cluster.status != "FAILED":
        return False
    installed = layer.workspace.load("cluster", ClusterState)
    return layer.workspace.load("deployed", DeployResult) is None and not (
        installed and installed.addons
    )


def _not_emptied(layer: AwsLayer, outcome: _Outcome) -> JarkkitError:
    name, why_not = layer.settings.name, outcome.why_not.rstrip(".")
    message, back = (
        f"It could not be emptied first: {why_not}. The cluster is as it was.",
        "; or set the setting back and plan again, which keeps the cluster",
    )
    if outcome.begun:
        message, back = (
            "It still exists, but what was in it is deleted already (workloads, claims with their "
            f"volumes, add-ons), except: {why_not}.",
            "",
        )
    return JarkkitError(
        "JK-CLUSTER-NOT-EMPTIED",
        f"The plan destroys or replaces the cluster {name}. {message} Without it, "
        "nothing deletes the load balancers, volumes and instances that its controllers created "
        "and that are left: they stay in the account and cost money.",
        f"Remove the cause (jarkkit diagnose finds it), then deploy again{back}. "
        f"To delete everything instead: jarkkit cleanup {name} --confirm {name}, which also finds "
        "what carries the cluster's tags. To go on and "
        f"leave that behind: jarkkit deploy {name} --confirm {name} --allow-orphans (in notebook "
        "04: allow_orphans=True as an argument of ui.start).",
        evidence="\n".join(_orphans(layer)),
    )


def _orphans(layer: AwsLayer) -> Iterator[str]:
    """Yield what would be left without the cluster, as far as AWS answers."""
    with contextlib.suppress(JarkkitError):
        found = layer.scan_resources().found
        left = [described(owned) for owned in found if owned.terraform_type in _OUTLIVES_CLUSTER]
        launched = layer.account.launched_by_karpenter(layer.settings.name)
        left += [f"aws_instance {instance} (launched by Karpenter)" for instance in launched]
        yield from (f"would be left: {line}" for line in left[:_MAX_NAMED])


def _last_instances(layer: AwsLayer) -> Generator[StepEvent, None, str]:
    """Terminate the instances that Karpenter launched and left running.

    Nothing else would terminate them, and AWS does not delete the network while they run. Returns
    which are left after five minutes; empty if none is.
    """
    terminated = frozenset[str]()
    for _ in poll(_POLL_SECONDS, _INSTANCES_SECONDS, sleep=layer.sleep):
        left = layer.account.launched_by_karpenter(layer.settings.name)
        if not left:
            return ""
        if fresh := frozenset(left) - terminated:
            terminated |= fresh
            text = f"{len(fresh)} instances from Karpenter are still running: terminating them"
            yield warning(text)
            layer.account.terminate_instances(sorted(fresh))
    # In a cleanup, Terraform reports what blocks it and the receipt lists what is left.
    return f"Instances from Karpenter are still running: {', '.join(left[:4])}."
