"""Questions about what an earlier deployment of the same name has left."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from jarkkit.aws_layer import backend
from jarkkit.checks import Check
from jarkkit.errors import JarkkitError
from jarkkit.records import Owned, Target
from jarkkit.settings import Settings
from jarkkit.steps.preflight.asking import Look, Question, passed, warned
from jarkkit.steps.preflight.obstacles import SHOWN, is_ours, kind, listed
from jarkkit.targets import check_target

# Made by the cluster and its controllers, not by Terraform, so no plan takes them over; and how
# one of them is removed by hand.
_REMOVED_BY = {
    "aws_instance": "aws ec2 terminate-instances --instance-ids",
    "aws_ebs_volume": "aws ec2 delete-volume --volume-id",
    "aws_lb": "aws elbv2 delete-load-balancer --load-balancer-arn",
    "aws_network_interface": "aws ec2 delete-network-interface --network-interface-id",
    "aws_security_group": "aws ec2 delete-security-group --group-id",
    "aws_iam_instance_profile": "aws iam delete-instance-profile --instance-profile-name",
}
_SOMETIMES_TERRAFORMS = ("aws_security_group", "aws_iam_instance_profile")
# Parts of other things, and named otherwise in the state.
_PARTS = ("aws_route", "aws_route_table_association")


# -- the state -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Known:
    """What Terraform's state knows.

    Attributes:
        ids: of its resources.
        cluster: whether an EKS cluster is among them.
    """

    ids: frozenset[str] = frozenset()
    cluster: bool = False

    def has(self, owned: Owned) -> bool:
        """True when it knows this; some types are imported by more than their id."""
        last = owned.import_id.replace(",", "/").rpartition("/")[2]
        return owned.import_id in self.ids or last in self.ids


def read_state(text: bytes | None) -> Known:
    """What a state file (version 4) knows; nothing where it cannot be read."""
    try:
        resources = json.loads(text or b"{}").get("resources", [])
        managed = [r for r in resources if r.get("mode") == "managed"]
        ids = {
            str(i.get("attributes", {}).get("id")) for r in managed for i in r.get("instances", [])
        }
    except (ValueError, AttributeError):
        return Known()
    return Known(frozenset(ids), any(r.get("type") == "aws_eks_cluster" for r in managed))


def _known(look: Look) -> Known:
    keeps = backend(look.settings)
    if keeps is None:
        return read_state(look.workspace.state())
    place = keeps["terraform"]["backend"]["s3"]
    return read_state(look.account.leftovers.state(place["bucket"], place["key"]))


def state(look: Look) -> Check:
    """Terraform's state"""
    if _belongs_elsewhere(look):
        return Check(name="", status="skip", found="of another account, Region or rehearsal")
    cluster = look.account.cluster(look.settings.name)
    ours = cluster is not None and is_ours(look, cluster)
    return judge_state(look.settings, _known(look), there=ours)


def judge_state(settings: Settings, known: Known, *, there: bool) -> Check:
    """Whether state and account tell the same of the cluster.

    Args:
        there: the account has the deployment's cluster.
    """
    bucket = settings.state_bucket
    place = f"in the bucket {bucket}" if bucket else "in the deployment's folder"
    if there and not known.cluster:
        return warned(
            f"the cluster is there, the state {place} does not know it",
            why="Another folder or machine has deployed it, or the state was lost.",
            fix="Go on where it was deployed; or let both keep the state in one bucket "
            f"(state_bucket). If the state is lost: `jarkkit plan {settings.name}` takes over what "
            "is there.",
            code="JK-STATE-DIFFERS",
        )
    if known.cluster and not there:
        return warned(
            f"the state {place} knows a cluster, the account has none",
            why="Somebody has deleted it, without the kit.",
            fix=f"To make it again: jarkkit plan {settings.name}. To take away the rest: "
            f"jarkkit cleanup {settings.name} --confirm {settings.name}",
            code="JK-STATE-DIFFERS",
        )
    return passed(f"{place}, {len(known.ids)} resources" if known.ids else f"{place}, empty")


def _belongs_elsewhere(look: Look) -> bool:
    """True when the deployment was applied in another place: then `right_target` says so, and the
    state is about that place."""
    try:
        check_target(look.workspace.load("target", Target), look.target())
    except JarkkitError as error:
        if error.code != "JK-TARGET-MISMATCH":
            raise
        return True
    return False


# -- leftovers -------------------------------------------------------------------------------------


def leftovers(look: Look) -> Iterable[Check]:
    """Leftovers of an earlier deployment"""
    found, _, refused = look.account.owned(look.settings.name)
    yield from judge_refused(refused)
    known = Known() if _belongs_elsewhere(look) else _known(look)
    alive = look.account.cluster(look.settings.name) is not None
    yield judge_leftovers(look.settings.name, found, known, alive=alive)


def judge_refused(places: Iterable[str]) -> Iterable[Check]:
    """What could not be looked at, an answer per reason.

    Args:
        places: `place: code`.
    """
    by_code: dict[str, list[str]] = {}
    for refused in places:
        place, _, code = refused.partition(": ")
        by_code.setdefault(code, []).append(place)
    for code, named in by_code.items():
        yield Check(
            name="Where leftovers could not be looked for",
            status="unknown",
            found=listed(named),
            fix="Look there yourself, or ask again later or with other credentials.",
            code=code,
        )


def judge_leftovers(name: str, found: Iterable[Owned], known: Known, *, alive: bool) -> Check:
    """What of the deployment is in the account and not in its state: the next plan takes over what
    Terraform makes; what the cluster made stays in the way.

    Args:
        alive: there is a cluster that what its controllers made belongs to.
    """
    whole = [owned for owned in found if owned.terraform_type not in _PARTS]
    strays = [owned for owned in whole if not known.has(owned)]
    stays = [] if alive else [owned for owned in strays if _stays(name, owned)]
    taken = [owned for owned in strays if not _stays(name, owned)]
    if stays:
        return _in_the_way(stays, taken)
    if taken and known.ids:
        return _stray(name, taken)
    if taken and alive:
        return _of_a_cluster(taken)
    if taken:
        return _taken_over(name, taken)
    return passed(f"{len(whole)} things, all in the state" if whole else "none")


def _stays(name: str, owned: Owned) -> bool:
    if owned.terraform_type in _SOMETIMES_TERRAFORMS:
        return owned.name != f"{name}-efs" and not owned.name.startswith(f"{name}-")
    return owned.terraform_type in _REMOVED_BY


def _in_the_way(stays: list[Owned], taken: list[Owned]) -> Check:
    commands = [f"{_REMOVED_BY[owned.terraform_type]} {owned.import_id}" for owned in stays[:SHOWN]]
    volumes = any(owned.terraform_type == "aws_ebs_volume" for owned in stays)
    careful = "Volumes may hold data: look first. Then: " if volumes else "Remove it: "
    costs = " Some of it costs money." if any(owned.billable for owned in stays) else ""
    also = f"; beside it {len(taken)} that the next plan takes over" if taken else ""
    return warned(
        f"{_counted(stays)}: {listed(owned.import_id for owned in stays)}{also}",
        why=f"A cluster that is gone has made it, so nobody removes it.{costs} It can also keep "
        "the network from being deleted.",
        fix=f"{careful}{'; '.join(commands)}",
        code="JK-LEFTOVER",
    )


def _of_a_cluster(taken: list[Owned]) -> Check:
    return warned(
        f"{_counted(taken)}, none of it in the state",
        why="It is what belongs to the cluster that the state does not know.",
        fix="What to do is said under Terraform's state.",
        code="JK-LEFTOVER",
    )


def _taken_over(name: str, taken: list[Owned]) -> Check:
    return warned(
        f"{_counted(taken)}, none of it in the state",
        why="A run that was cut off has left it, or its state was lost.",
        fix=f"Nothing to do: `jarkkit plan {name}` takes it over and shows it. To be rid of it "
        f"instead: jarkkit cleanup {name} --confirm {name}",
        code="JK-LEFTOVER",
    )


def _stray(name: str, taken: list[Owned]) -> Check:
    return warned(
        f"{_counted(taken)} not in the state: {listed(owned.import_id for owned in taken)}",
        why="They carry the deployment's tag or name. Where a run was cut off, the next one takes "
        "them over.",
        fix=f"See whether it would make them anew: jarkkit plan {name}. What it does not name is "
        "left over, and can be deleted.",
        code="JK-LEFTOVER",
    )


def _counted(things: Iterable[Owned]) -> str:
    """`ebs volume (2), vpc (1)`."""
    counts = Counter(kind(owned.terraform_type) for owned in things)
    return ", ".join(f"{what} ({count})" for what, count in sorted(counts.items()))


QUESTIONS: tuple[Question, ...] = (state, leftovers)
