"""Checks for leftovers of an earlier deployment of the same name."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from jarkkit.decisions.target_guard import check_target
from jarkkit.model.checks import Check
from jarkkit.model.errors import WrongTarget
from jarkkit.model.records import OwnedResource, Target
from jarkkit.settings import Settings
from jarkkit.steps.aws_layer import backend
from jarkkit.steps.check_engine import CheckGroup, passed, warned
from jarkkit.steps.own_cluster import own_cluster, recorded_endpoint
from jarkkit.steps.preflight.context import CheckContext
from jarkkit.steps.preflight.name_conflicts import resource_label, short_list

CHECKS = CheckGroup[CheckContext]("Name conflicts and leftovers")

# Parts of other resources, with other ids in the state.
_PARTS = ("aws_route", "aws_route_table_association")


# -- the state -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StateSummary:
    """A summary of Terraform's state.

    Attributes:
        ids: the ids of its resources.
        cluster: whether an EKS cluster is among them.
    """

    ids: frozenset[str] = frozenset()
    cluster: bool = False

    def contains(self, owned: OwnedResource) -> bool:
        """Return True when the state has this; some import ids hold more than the id."""
        last = owned.import_id.replace(",", "/").rpartition("/")[2]
        return owned.import_id in self.ids or last in self.ids


def read_state(text: bytes | None) -> StateSummary:
    """Summarize a state file (version 4); return an empty summary if it is unreadable."""
    try:
        resources = json.loads(text or b"{}").get("resources", [])
        managed = [r for r in resources if r.get("mode") == "managed"]
        ids = {
            str(i.get("attributes", {}).get("id")) for r in managed for i in r.get("instances", [])
        }
    except (ValueError, AttributeError):
        return StateSummary()
    return StateSummary(frozenset(ids), any(r.get("type") == "aws_eks_cluster" for r in managed))


def _known(context: CheckContext) -> StateSummary:
    remote = backend(context.settings)
    if remote is None:
        return read_state(context.workspace.state())
    s3 = remote["terraform"]["backend"]["s3"]
    return read_state(context.account.name_conflicts.read_state_object(s3["bucket"], s3["key"]))


@CHECKS.check("Terraform's state")
def state(context: CheckContext) -> Check:
    """Check that Terraform's state and the account agree about the cluster."""
    if _belongs_elsewhere(context):
        return Check(
            name="",
            status="skip",
            found="the state belongs to another account, Region or rehearsal",
        )
    cluster = own_cluster(context.settings.name, context.account, context.workspace)
    return judge_state(context.settings, _known(context), there=cluster is not None)


def judge_state(settings: Settings, summary: StateSummary, *, there: bool) -> Check:
    """Check that state and account agree about the cluster.

    Args:
        there: the account has the deployment's cluster.
    """
    bucket = settings.state_bucket
    location = f"in the bucket {bucket}" if bucket else "in the deployment's folder"
    if there and not summary.cluster:
        return warned(
            f"the cluster exists, but is not in the state {location}",
            why="Another folder or machine deployed it, or the state was lost.",
            fix="Continue where it was deployed, or keep the state of both in one bucket "
            f"(state_bucket). If the state is lost, `jarkkit plan {settings.name}` imports what "
            "exists.",
            code="JK-STATE-DIFFERS",
        )
    if summary.cluster and not there:
        return warned(
            f"the state {location} has a cluster, but the account has none",
            why="It was deleted without jarkkit.",
            fix=f"To create it again: jarkkit plan {settings.name}. To delete the rest: "
            f"jarkkit cleanup {settings.name} --confirm {settings.name}",
            code="JK-STATE-DIFFERS",
        )
    return passed(
        f"{location}, {len(summary.ids)} resources" if summary.ids else f"{location}, empty"
    )


def _belongs_elsewhere(context: CheckContext) -> bool:
    """Return True when the deployment was applied to another target.

    Then `right_target` reports it, and the state belongs to that target.
    """
    try:
        check_target(context.workspace.load("target", Target), context.target())
    except WrongTarget:
        return True
    return False


# -- leftovers -------------------------------------------------------------------------------------


@CHECKS.check("Leftovers of an earlier deployment")
def leftovers(context: CheckContext) -> Iterable[Check]:
    """Check that nothing of an earlier deployment is in the way."""
    endpoint = recorded_endpoint(context.workspace)
    scan = context.account.scan_resources(context.settings.name, endpoint=endpoint)
    yield from judge_inaccessible(scan.inaccessible)
    summary = StateSummary() if _belongs_elsewhere(context) else _known(context)
    cluster = own_cluster(context.settings.name, context.account, context.workspace)
    alive = cluster is not None
    yield judge_leftovers(context.settings.name, scan.found, summary, alive=alive)


def judge_inaccessible(places: Iterable[str]) -> Iterable[Check]:
    """Report what could not be scanned, one check per reason.

    Args:
        places: each `place: code`.
    """
    by_code: dict[str, list[str]] = {}
    for entry in places:
        location, _, code = entry.partition(": ")
        by_code.setdefault(code, []).append(location)
    for code, named in by_code.items():
        yield Check(
            name="Locations not scanned for leftovers",
            status="unknown",
            found=short_list(named),
            fix="Check them yourself, or run preflight again later or with other credentials.",
            code=code,
        )


def judge_leftovers(
    name: str, found: Iterable[OwnedResource], summary: StateSummary, *, alive: bool
) -> Check:
    """Find resources of the deployment that are in the account but not in its state.

    The next plan imports those that Terraform manages; those that the cluster created remain.

    Args:
        alive: the cluster exists, and still owns what its controllers created.
    """
    whole = [owned for owned in found if owned.terraform_type not in _PARTS]
    strays = [owned for owned in whole if not summary.contains(owned)]
    stays = [] if alive else [owned for owned in strays if owned.of_cluster]
    taken = [owned for owned in strays if not owned.of_cluster]
    if stays:
        return _blocking(name, stays, taken)
    if taken and summary.ids:
        return _stray(name, taken)
    if taken and alive:
        return _of_a_cluster(taken)
    if taken:
        return _importable(name, taken)
    return passed(f"{len(whole)} resources, all in the state" if whole else "none")


def _blocking(name: str, stays: list[OwnedResource], taken: list[OwnedResource]) -> Check:
    volumes = any(owned.terraform_type == "aws_ebs_volume" for owned in stays)
    advice = "Volumes may hold data: check them first. Then run" if volumes else "Run"
    costs = " Some of them cost money." if any(owned.billable for owned in stays) else ""
    also = f"; also {len(taken)} that the next plan imports" if taken else ""
    return warned(
        f"{_counted(stays)}: {short_list(owned.import_id for owned in stays)}{also}",
        why=f"A deleted cluster created them, so no controller deletes them.{costs} They can also "
        "block the deletion of the network.",
        fix=f"{advice}: jarkkit cleanup {name} --confirm {name}. It deletes everything of the "
        "deployment; to keep the rest, delete these by their ids.",
        code="JK-LEFTOVER",
    )


def _of_a_cluster(taken: list[OwnedResource]) -> Check:
    return warned(
        f"{_counted(taken)}, none of them in the state",
        why="They belong to the cluster that is not in the state.",
        fix='Follow the fix of the check "Terraform\'s state".',
        code="JK-LEFTOVER",
    )


def _importable(name: str, taken: list[OwnedResource]) -> Check:
    return warned(
        f"{_counted(taken)}, none of them in the state",
        why="An interrupted run left them, or its state was lost.",
        fix=f"You need not do anything: `jarkkit plan {name}` imports and lists them. To delete "
        f"them instead, run: jarkkit cleanup {name} --confirm {name}",
        code="JK-LEFTOVER",
    )


def _stray(name: str, taken: list[OwnedResource]) -> Check:
    return warned(
        f"{_counted(taken)} not in the state: {short_list(owned.import_id for owned in taken)}",
        why="They carry the deployment's tag or name. After an interrupted run, the next run "
        "imports them.",
        fix=f"Check whether a plan creates them again: jarkkit plan {name}. Those that it does not "
        "list are leftovers, which you can delete.",
        code="JK-LEFTOVER",
    )


def _counted(resources: Iterable[OwnedResource]) -> str:
    """Count them by kind: `ebs volume (2), vpc (1)`."""
    counts = Counter(resource_label(owned.terraform_type) for owned in resources)
    return ", ".join(f"{what} ({count})" for what, count in sorted(counts.items()))
