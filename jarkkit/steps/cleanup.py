"""Delete everything in order, and verify that nothing is left."""

from __future__ import annotations

from collections.abc import Generator

from jarkkit.catalog.addons import addon_catalog
from jarkkit.decisions.costs.actuals import with_monthly_prices
from jarkkit.decisions.costs.price_table import PriceTable
from jarkkit.model.checks import Check, Report
from jarkkit.model.clock import monotonic, now
from jarkkit.model.errors import JarkkitError
from jarkkit.model.events import PhaseProgress, StepEvent, warning
from jarkkit.model.records import (
    ClusterState,
    OwnedResource,
    Receipt,
    Target,
    UnemptiedCluster,
)
from jarkkit.steps.aws_layer import ADDON_PINS, APPLIED_PERMISSIONS, LAYOUT, AwsLayer
from jarkkit.steps.cluster.cluster_layer import Connect
from jarkkit.steps.emptying import UNEMPTIED, empty_cluster, of_another_cluster
from jarkkit.steps.leftover_removal import remove_leftovers, unblock

# What the AWS layer saved about a deployment that exists.
_OF_THE_LAYER = (LAYOUT, ADDON_PINS, APPLIED_PERMISSIONS)
# AWS does not document when. EKS delivers control plane logs within minutes of the event, so a
# receipt can come before the last lines; a later cleanup finds what they created.
# https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html
_COMES_BACK_SECONDS = 60.0


def require_confirmation(name: str, confirm: str) -> None:
    """Raise JK-CONFIRM unless `confirm` is the deployment's name."""
    if confirm != name:
        raise JarkkitError(
            "JK-CONFIRM",
            f"Cleanup deletes everything in {name!r}, and you did not confirm it with its name.",
            f"Confirm with the name: jarkkit cleanup {name} --confirm {name}, or set "
            f"confirm = {name!r} in the notebook.",
        )


def cleanup(layer: AwsLayer, connect: Connect | None) -> Generator[StepEvent, None, Receipt]:
    """Empty the cluster, destroy the deployment and scan the account for leftovers.

    Safe to run again; a deployment that is already gone also gets a receipt. Raises
    JK-CLEANUP-LEFT when resources are left after the destroy; the receipt is saved first.
    """
    began = monotonic()
    target = layer.target()
    yield from layer.wait_for_aws()
    not_emptied = yield from _why_not_emptied(layer, connect)
    destroyed = 0
    if _was_planned(layer):
        destroyed = yield from _destroy(
            layer, target, adopt=layer.unfinished(), emptied=not not_emptied
        )
    yield PhaseProgress("receipt", "started")
    destroyed += yield from _delete_the_rest(layer, target)
    if destroyed:
        destroyed += yield from _look_again(layer)
    scan = layer.scan_resources(kept=True)
    priced = with_monthly_prices(scan.found, PriceTable.shipped(), layer.settings.region)
    receipt = Receipt(
        time=now(),
        target=target,
        destroyed=destroyed,
        left=tuple(resource for resource in priced if not resource.why_kept),
        looked_at=scan.scanned,
        not_looked_at=scan.inaccessible,
        kept=tuple(resource for resource in priced if resource.why_kept),
        not_emptied=not_emptied,
        seconds=round(monotonic() - began, 1),
    )
    layer.workspace.save("receipt", receipt)
    if receipt.left:
        raise _left_over(receipt)
    if not_emptied:  # from now on, only until another cluster was emptied
        layer.workspace.save(UNEMPTIED, UnemptiedCluster(reason=not_emptied))
    for name in ("plan", "deployed", "cluster", "target", *_OF_THE_LAYER):
        layer.workspace.discard(name)
    layer.workspace.save_kubeconfig(None)
    yield PhaseProgress("receipt", "done")
    return receipt


def _why_not_emptied(layer: AwsLayer, connect: Connect | None) -> Generator[StepEvent, None, str]:
    """Empty the cluster; return why that was impossible, in this run or in an earlier one, or for
    a cluster that a deploy replaced.

    The reason is on disk before the cluster is destroyed, because a later run finds no cluster.
    """
    if connect is None:
        return ""
    cluster = layer.own_cluster()
    why_not = yield from empty_cluster(layer, connect, "cleanup")
    of_replaced = of_another_cluster(layer, cluster)
    if why_not:
        new = "" if why_not in of_replaced else why_not
        reason = " ".join(filter(None, (of_replaced, new)))
        layer.workspace.save(UNEMPTIED, UnemptiedCluster(reason=reason, replaced=bool(of_replaced)))
        return reason
    if cluster is None:
        return _known_reason(layer)
    if not of_replaced:
        layer.workspace.discard(UNEMPTIED)
    return of_replaced


def _known_reason(layer: AwsLayer) -> str:
    """Return why a cluster that no longer exists was not emptied; empty if it was."""
    known = layer.workspace.load(UNEMPTIED, UnemptiedCluster)
    if known is not None:
        return known.reason
    recorded = layer.workspace.load("cluster", ClusterState)
    catalog = addon_catalog()
    installed = [
        name
        for name in (recorded.addons if recorded else ())
        if name not in catalog or catalog[name].install != "eks"
    ]
    return f"It was deleted while {', '.join(installed[:4])} ran in it." if installed else ""


def _delete_the_rest(layer: AwsLayer, target: Target) -> Generator[StepEvent, None, int]:
    """Delete what is left after the destroy; return how many resources that were.

    First what the cluster left, which no Terraform configuration knows (unless the cluster still
    exists, whose controllers would create it again); then Terraform imports and destroys what is
    its own; then what neither of them could delete.
    """
    left = _scan(layer)
    if not left:
        return 0
    yield warning(f"{len(left)} resources are left that are not in Terraform's state")
    deleted = 0
    if all(owned.terraform_type != "aws_eks_cluster" for owned in left):
        deleted = yield from remove_leftovers(layer, filter(_is_no_plans, left))
        left = _scan(layer)
    if left:
        deleted += yield from _destroy(layer, target, adopt=True, emptied=True)
        left = _scan(layer)
    deleted += yield from remove_leftovers(layer, left)
    return deleted


def _is_no_plans(owned: OwnedResource) -> bool:
    """Return True for what Terraform did not create, or what AWS creates again after it."""
    return owned.of_cluster or owned.terraform_type == "aws_cloudwatch_log_group"


def _look_again(layer: AwsLayer) -> Generator[StepEvent, None, int]:
    """Delete what came back after a minute; return how many resources that were.

    EKS writes the last lines of a cluster's log after the log group's deletion, and so creates it
    again, without a retention period.
    """
    yield PhaseProgress("receipt", "running", "waiting a minute for what AWS creates again")
    layer.wait(_COMES_BACK_SECONDS)
    return (yield from remove_leftovers(layer, _scan(layer)))


def _scan(layer: AwsLayer) -> tuple[OwnedResource, ...]:
    return layer.scan_resources().found


def _was_planned(layer: AwsLayer) -> bool:
    return bool(layer.workspace.tfvars())


def _destroy(
    layer: AwsLayer, target: Target, *, adopt: bool, emptied: bool
) -> Generator[StepEvent, None, int]:
    """Destroy what is in Terraform's state; return how many resources that were.

    Args:
        adopt: first import what is in the account but not in the state.
        emptied: the cluster was emptied, or there is none.
    """
    yield from layer.prepare("cleanup")
    if adopt:
        yield from layer.import_existing(target)
    plan = yield from layer.plan(target, file="destroy.tfplan", destroy=True)
    if plan.pending:
        yield from layer.unprotect_cluster()
        yield from unblock(layer, layer.apply(plan), emptied=emptied)
    return len(plan.pending)


def _left_over(receipt: Receipt) -> JarkkitError:
    return JarkkitError(
        "JK-CLEANUP-LEFT",
        f"{receipt.verdict[:1].upper()}{receipt.verdict[1:]}.",
        "Run cleanup again: AWS deletes some resources only after others are gone. If they are "
        "still left, delete them by their ids, which are listed below.",
        evidence="\n".join(_priced_line(item) for item in receipt.left[:40]),
    )


def receipt_report(receipt: Receipt) -> Report:
    """Build a report from the receipt, for people."""
    checks = [_location_check(location, receipt) for location in receipt.looked_at]
    checks += [
        Check(
            name=location,
            status="unknown",
            found="not checked",
            fix="Check there yourself, or repeat the cleanup with credentials that have access.",
        )
        for location in receipt.not_looked_at
    ]
    if receipt.not_emptied:
        checks.append(_unemptied_check(receipt))
    notes = [f"left: {_priced_line(item)}" for item in receipt.left]
    notes += [f"kept: {_priced_line(item)}: {item.why_kept}" for item in receipt.kept]
    return Report(title="Is everything deleted?", checks=tuple(checks), notes=tuple(notes))


def _location_check(location: str, receipt: Receipt) -> Check:
    left = sum(item.location == location for item in receipt.left)
    if left:
        return Check(name=location, status="fail", found=f"{left} left", needed="none")
    return Check(name=location, status="pass", found="no resources of the deployment")


def _unemptied_check(receipt: Receipt) -> Check:
    return Check(
        name="the cluster before its deletion",
        status="unknown",
        found=f"not emptied: {receipt.not_emptied}",
        why="The search finds what carries a tag or name of the cluster. What its workloads "
        "created in another way can be left, and cost money.",
        fix="If users created AWS resources from the cluster, look for them in the consoles of "
        "those services, or in the bill of the next days.",
    )


def _priced_line(item: OwnedResource) -> str:
    """Return type, id, proof and price of a resource."""
    known = item.usd_per_month is not None
    price = f"{item.usd_per_month:.2f} USD per month" if known else "price unknown"
    named = " ".join(filter(None, (item.terraform_type, item.import_id)))
    return f"{named} ({', '.join(filter(None, (item.proof, price)))})"
