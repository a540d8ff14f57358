"""The AWS layer of a deployment: Terraform prepared, planned, repaired and applied.

The steps plan, deploy and cleanup share this work. It yields events like they do. What it decides
is decided by pure functions elsewhere (zones, targets, adoption, estimates).
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jarkkit import zones
from jarkkit.addons import choice
from jarkkit.adoption import Adoption, adoptions, import_blocks
from jarkkit.aws import Account
from jarkkit.clock import monotonic, now
from jarkkit.durations.resources import Progress, critical_path
from jarkkit.errors import JarkkitError
from jarkkit.records import Action, Event, Plan, ResourceChange, Step, Target
from jarkkit.settings import Settings, unknown_name
from jarkkit.targets import check_target, target_of
from jarkkit.terraform import Terraform
from jarkkit.terraform_messages import changes_of
from jarkkit.workspace import Workspace

_ADOPT, _ADOPT_PLAN = "adopt", "adopt.tfplan"
_SETTLE_SECONDS = 5.0
# An address that depends on what is adopted first (a route on its table) is matched a round later.
_ADOPTION_ROUNDS = 4


@dataclass(frozen=True)
class AwsLayer:
    """The ports and facts that the AWS layer works with. Making one does nothing.

    Args:
        source: the shipped Terraform configuration.
    """

    workspace: Workspace
    account: Account
    terraform: Terraform
    settings: Settings
    source: Path
    sleep: Callable[[float], None] = time.sleep

    # -- where ---------------------------------------------------------------------------------

    def target(self) -> Target:
        """Where the credentials and settings point, compared with where the deployment lives.

        Raises JK-REGION-UNKNOWN, JK-TARGET-MISMATCH and the JK-AWS-… of the call.
        """
        check_region(self.settings.region, self.account.known_regions())
        found = target_of(
            self.account.caller(),
            self.settings.region,
            self.settings.name,
            rehearsal=self.workspace.rehearsal,
        )
        check_target(self.workspace.load("target", Target), found)
        return found

    def digest(self, target: Target) -> str:
        """A fingerprint of all that a plan depends on, except the state."""
        parts = (
            self.settings.digest(),
            self.workspace.configuration_digest(),
            target.model_dump_json(),
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    # -- preparing -----------------------------------------------------------------------------

    def prepare(self, step: Step) -> Iterator[Event]:
        """Lay configuration, variables and backend into the folder and initialise Terraform."""
        yield _phase(step, "prepare", "started")
        self.workspace.lay_configuration(self.source)
        self.workspace.save_tfvars(
            self.settings.to_tfvars(
                availability_zones=self._zones(),
                eks_addons=choice.eks_addons(self.settings),
                pod_identities=choice.pod_identities(self.settings),
                efs=choice.needs_file_system(self.settings),
            )
        )
        self.workspace.save_generated("backend", backend(self.settings))
        self.workspace.save_generated(_ADOPT, None)
        if mended := self.workspace.mend_state():
            yield Event(time=now(), step=step, kind="warning", message=mended)
        yield from self.initialise(step)
        yield _phase(step, "prepare", "done")

    def initialise(self, step: Step) -> Iterator[Event]:
        """Run `terraform init`, unless it has run for this configuration and product."""
        tool = self.terraform.tool
        wanted = f"{self.workspace.configuration_digest(modules_only=True)} {tool.product}"
        marker = self.workspace.folder / ".terraform" / "jarkkit-initialised"
        if self.terraform.initialised and marker.is_file() and marker.read_text() == wanted:
            return
        yield from self.terraform.init(step)
        marker.write_text(wanted)

    def _zones(self) -> tuple[str, ...]:
        """The zones of the last plan while they still fit the settings: they never move under
        subnets that exist; otherwise a fresh choice."""
        before = self.workspace.tfvars()
        pinned = tuple(before.get("availability_zones", ()))
        same_region = before.get("region") == self.settings.region
        if same_region and len(pinned) == self.settings.az_count:
            named = self.settings.availability_zones
            if not named or set(named) == set(pinned):
                return pinned
        offerings = self.account.offerings(zones.instance_patterns(self.settings))
        return zones.choose(self.settings, self.account.zones(), offerings)

    # -- planning ------------------------------------------------------------------------------

    def plan(
        self, step: Step, target: Target, *, file: str = "plan.tfplan", destroy: bool = False
    ) -> Generator[Event, None, Plan]:
        """Plan, taking over what an unfinished run left in the account, and describe the plan."""
        yield _phase(step, "plan", "started")
        changes = yield from self._planned(step, file, destroy=destroy)
        if not destroy and self._may_have_strays(changes):
            changes = yield from self._adopting(step, file, changes)
        plan = Plan(
            made=now(),
            digest=self.digest(target),
            file=file,
            destroy=destroy,
            terraform=f"{self.terraform.tool.product} {self.terraform.tool.version}",
            target=target,
            changes=changes,
            seconds=critical_path(changes),
        )
        yield _phase(step, "plan", "done", message=counted(plan))
        return plan

    def _planned(
        self, step: Step, file: str, *, destroy: bool = False, only: Sequence[str] = ()
    ) -> Generator[Event, None, tuple[ResourceChange, ...]]:
        yield from self.terraform.plan(step, file, destroy=destroy, only=only)
        return self.terraform.planned()

    def _may_have_strays(self, changes: tuple[ResourceChange, ...]) -> bool:
        """Only a plan that creates something after a run that did not end well, or whose state
        knows nothing at all, can be about to make a thing twice."""
        if not any(change.action == "create" for change in changes):
            return False
        return self.unfinished() or all(change.action == "create" for change in changes)

    def _adopting(
        self, step: Step, file: str, changes: tuple[ResourceChange, ...]
    ) -> Generator[Event, None, tuple[ResourceChange, ...]]:
        found, _, _ = self.account.owned(self.settings.name)
        adopted: dict[str, Adoption] = {}
        for _ in range(_ADOPTION_ROUNDS if found else 0):
            changes = changes_of(self.terraform.show(file))  # with the names that tell what is what
            fresh = {a.address: a for a in adoptions(changes, found) if a.address not in adopted}
            if not fresh:
                break
            adopted |= fresh
            self.workspace.save_generated(_ADOPT, import_blocks(adopted.values()))
            for address in fresh:
                yield _message(step, f"{address} is in the account already: taking it over")
            changes = yield from self._planned(step, file)
        return changes

    # -- repairing -----------------------------------------------------------------------------

    def unfinished(self) -> bool:
        """True when the last deploy or cleanup before this run did not end well."""
        runs = [e for e in self.workspace.entries() if e.step in ("deploy", "cleanup")]
        past = runs[:-1] if runs and runs[-1].pid == os.getpid() else runs
        return bool(past) and past[-1].status != "finished"

    def settle(self, step: Step) -> Iterator[Event]:
        """Wait until nothing of an earlier run is under way any more: neither a Terraform that
        outlived its kit nor a cluster or a part of one that AWS is still making or removing."""
        if self.terraform.running:
            yield _message(step, "Terraform of an earlier run is still at work: following it")
            yield from self.terraform.attach(step)
        if self.unfinished():
            yield from self._wait_for_aws(step)

    def _wait_for_aws(self, step: Step) -> Iterator[Event]:
        name, began = self.settings.name, monotonic()
        while moving := self._moving():
            yield Event(
                time=now(),
                step=step,
                kind="phase",
                subject="settle",
                status="running",
                seconds=round(monotonic() - began, 1),
                message=f"waiting for AWS to finish: {', '.join(moving)} of {name}",
            )
            self.sleep(_SETTLE_SECONDS)

    def _moving(self) -> tuple[str, ...]:
        cluster = self.account.cluster(self.settings.name)
        if cluster is None:
            return ()
        if cluster.status in _MOVING:
            return (f"cluster {cluster.status}",)
        parts = self.account.parts(cluster.name)
        return tuple(f"{p.kind} {p.name} {p.status}" for p in parts if p.status in _MOVING)

    def untaint(self, step: Step) -> Iterator[Event]:
        """Resources whose creation was interrupted count as broken ("tainted") for Terraform,
        which would make them again. Those that AWS has finished by itself are declared sound."""
        tainted = _tainted(self.terraform.show())
        if not tainted:
            return
        sound = self._sound()
        for address, resource_id in tainted.items():
            if resource_id in sound:
                self.terraform.untaint(address)
                yield _message(step, f"{address} was completed by AWS meanwhile: keeping it")

    def _sound(self) -> frozenset[str]:
        found, _, _ = self.account.owned(self.settings.name)
        ids = {owned.import_id for owned in found}
        parts = self.account.parts(self.settings.name) if self.settings.name in ids else ()
        broken = {f"{self.settings.name}:{p.name}" for p in parts if p.status != "ACTIVE"}
        return frozenset(ids - broken)

    # -- applying ------------------------------------------------------------------------------

    def apply(self, step: Step, plan: Plan, *, after: float = 0.0) -> Iterator[Event]:
        """Carry out a plan with progress. The target is written down before the first change.

        Args:
            after: published seconds of what follows in the same step; it counts as time left.
        """
        self.workspace.save("target", plan.target)
        began = monotonic()
        elapsed = iter(lambda: monotonic() - began, None)
        word = "destroy" if plan.destroy else "apply"
        yield _phase(step, word, "started", message=counted(plan))
        events = self.terraform.apply(step, plan.file)
        progress = Progress(plan.pending, after, rehearsal=plan.target.rehearsal)
        yield from progress.follow(events, elapsed)
        self.workspace.save_generated(_ADOPT, None)
        yield _phase(step, word, "done")

    def adopt_now(self, step: Step, target: Target) -> Iterator[Event]:
        """Bring into the state what is in the account and not in it, so that a destroy finds it.

        All at once: while things are imported one by one, the configuration refers to others that
        are not there yet. Where one of them would have something made that costs money, nothing is
        taken over: the receipt names what is left.
        """
        yield from self.plan(step, target, file=_ADOPT_PLAN)
        if blocks := self.workspace.generated(_ADOPT).get("import", []):
            only = [block["to"] for block in blocks]
            changes = yield from self._planned(step, _ADOPT_PLAN, only=only)
            made = [c.address for c in changes if c.action == "create" and c.type in _COSTLY]
            if made:
                yield _message(step, f"Not taken over, as it would make {', '.join(made)}")
            else:
                yield from self.terraform.apply(step, _ADOPT_PLAN)
        self.workspace.save_generated(_ADOPT, None)


_COSTLY = frozenset({"aws_eks_cluster", "aws_eks_node_group", "aws_nat_gateway"})
_MOVING = ("CREATING", "UPDATING", "DELETING", "PENDING")


def check_region(region: str, known: tuple[str, ...]) -> None:
    """Raise JK-REGION-UNKNOWN, with the nearest name, for a Region that EKS does not have."""
    if region not in known:
        near = unknown_name(region, known, source="region")
        raise JarkkitError(
            "JK-REGION-UNKNOWN",
            f"There is no Region {region!r} with Amazon EKS.",
            near.fix if near.fix.startswith("Did") else f"Choose from: {', '.join(known)}.",
        )


def backend(settings: Settings) -> dict[str, Any] | None:
    """Terraform's backend block (a .tf.json document); None keeps the state in the folder."""
    if not settings.state_bucket:
        return None
    s3 = {
        "bucket": settings.state_bucket,
        "key": f"jarkkit/{settings.region}/{settings.name}/terraform.tfstate",
        "region": settings.region,
        "encrypt": True,
        "use_lockfile": True,
    }
    return {"terraform": {"backend": {"s3": s3}}}


def counted(plan: Plan) -> str:
    """A plan in one line: how many resources get which action."""
    words: tuple[tuple[Action, str], ...] = (
        ("create", "to create"),
        ("import", "to take over"),
        ("update", "to change"),
        ("replace", "to replace"),
        ("delete", "to destroy"),
    )
    parts = [f"{plan.count(action)} {word}" for action, word in words if plan.count(action)]
    return ", ".join(parts) or "nothing to change"


def _tainted(state: dict[str, Any]) -> dict[str, str]:
    """Addresses of tainted resources with their ids, from `terraform show -json`."""

    def walk(module: dict[str, Any]) -> Iterator[tuple[str, str]]:
        for resource in module.get("resources", []):
            if resource.get("tainted"):
                yield resource["address"], str(resource["values"].get("id", ""))
        for child in module.get("child_modules", []):
            yield from walk(child)

    return dict(walk(state.get("values", {}).get("root_module", {})))


def _phase(step: Step, subject: str, status: Any, message: str = "") -> Event:
    return Event(
        time=now(), step=step, kind="phase", subject=subject, status=status, message=message
    )


def _message(step: Step, message: str) -> Event:
    return Event(time=now(), step=step, kind="message", message=message)
