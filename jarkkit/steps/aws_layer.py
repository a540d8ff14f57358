"""The AWS layer of a deployment: prepares, plans, repairs and applies Terraform.

The steps plan, deploy and cleanup share this code, which yields events as they do. Pure functions
in other modules make the decisions (zones, targets, imports, estimates).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jarkkit.decisions import preflight_gate
from jarkkit.decisions.addons import addon_versions
from jarkkit.decisions.cluster_versions import (
    PlannedVersions,
    RunningVersions,
    minor,
    next_versions,
)
from jarkkit.decisions.durations.terraform_progress import ProgressEstimator, critical_path_seconds
from jarkkit.decisions.network_layout import check_layout, layout_of, next_layout
from jarkkit.decisions.permissions import AppliedPermissions, applied_permissions
from jarkkit.decisions.plan_losses import plan_losses
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.decisions.target_guard import check_target, target_of
from jarkkit.decisions.terraform_imports import ResourceImport, import_blocks, match_imports
from jarkkit.decisions.terraform_messages import changes_from_plan
from jarkkit.decisions.zones import choose_zones
from jarkkit.model.checks import Report
from jarkkit.model.clock import monotonic, now
from jarkkit.model.errors import JarkkitError
from jarkkit.model.events import PhaseProgress, StepEvent, StepMessage, warning
from jarkkit.model.polling import poll
from jarkkit.model.port_answers import ResourceInventory
from jarkkit.model.records import (
    ACTION_WORDS,
    Caller,
    DeployResult,
    EksAddonVersions,
    EksCluster,
    NetworkLayout,
    Plan,
    ResourceChange,
    Step,
    Target,
)
from jarkkit.ports.aws import Account
from jarkkit.ports.provider import lock_file
from jarkkit.ports.terraform import Terraform
from jarkkit.ports.workspace import Workspace
from jarkkit.settings import Settings, unknown_name_error
from jarkkit.steps.own_cluster import own_cluster, recorded_endpoint

ADDON_PINS = "eks-addons"
# The file of the network's layout as the last apply was to make it.
LAYOUT = "network"
# The file of the permissions that remove what can exist.
APPLIED_PERMISSIONS = "applied-permissions"
_ADOPT, _ADOPT_PLAN = "adopt", "adopt.tfplan"
_SETTLE_SECONDS = 5.0
# An address that depends on an earlier import (a route on its table) matches in a later round.
_ADOPTION_ROUNDS = 4


@dataclass(frozen=True)
class AwsLayer:
    """The stack and the ports of the AWS layer. The constructor does nothing.

    Args:
        source: folder of the shipped Terraform configuration.
        pace: how long AWS takes compared with the real one; 0 in a rehearsal without waiting.
    """

    workspace: Workspace
    account: Account
    terraform: Terraform
    stack: ResolvedStack
    source: Path
    sleep: Callable[[float], None] = time.sleep
    pace: float = 1.0

    @property
    def settings(self) -> Settings:
        """The settings of the stack."""
        return self.stack.settings

    def wait(self, seconds: float) -> None:
        """Wait for AWS: that many of its seconds, which are shorter in a fast rehearsal."""
        self.sleep(seconds * self.pace)

    # -- target --------------------------------------------------------------------------------

    def target(self) -> Target:
        """Return the target of the credentials and settings, checked against the recorded target.

        Raises JK-REGION-UNKNOWN, JK-TARGET-MISMATCH and the call's JK-AWS-… errors.
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
        """Return a digest of all inputs of a plan, except the state."""
        parts = [
            self.settings.digest(),
            self.workspace.configuration_digest(),
            target.model_dump_json(),
        ]
        if values := self.workspace.chart_values():
            parts.append(json.dumps(values, sort_keys=True, default=str))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    # -- preflight -----------------------------------------------------------------------------

    def require_preflight(self) -> None:
        """Raise JK-PREFLIGHT-BLOCKED if the last preflight failed, was for these settings, and
        still counts."""
        if not preflight_gate.counts(self.settings.digest(), self.workspace.ledger_entries()):
            return  # its report may be of another release
        if report := self.workspace.load("reports/preflight", Report):
            preflight_gate.require_preflight(self._name, report)

    def preflight_warning(self) -> Iterator[StepEvent]:
        """Warn of a failed preflight, where it does not stop the step."""
        try:
            self.require_preflight()
        except JarkkitError as error:
            yield warning(error.message, error.code)

    # -- preparing -----------------------------------------------------------------------------

    def prepare(self, step: Step, *, upgrade: bool = False) -> Iterator[StepEvent]:
        """Write configuration, variables and backend into the folder and initialize Terraform.

        Args:
            upgrade: move the EKS add-ons and the AMI of the node groups to their newest versions.
        """
        yield PhaseProgress("prepare", "started")
        layout, versions = self._layout(step), self._versions(step)
        if versions.warning:
            yield warning(versions.warning)
        release_version = self._release_version(step, versions.nodes, upgrade=upgrade)
        eks_addons = yield from self._pinned_addons(step, upgrade=upgrade)
        self.workspace.copy_configuration(self.source)
        self.workspace.save_tfvars(
            self.settings.to_tfvars(
                layout=layout,
                cluster_version=versions.control_plane,
                node_version=versions.nodes,
                node_release_version=release_version,
                eks_addons=eks_addons,
                pod_identities=self.stack.pod_identities,
            )
        )
        self.workspace.save_generated("backend", backend(self.settings))
        self.workspace.save_generated("account_override", only_account(self.account.caller()))
        self.workspace.save_generated(_ADOPT, None)
        if repair := self.workspace.restore_damaged_state():
            yield warning(repair)
        yield from self.initialise()
        yield PhaseProgress("prepare", "done")

    def initialise(self) -> Iterator[StepEvent]:
        """Run `terraform init`, unless it already ran for this configuration and product."""
        product = self.terraform.tool.product
        lock = lock_file(product, self.source)
        checksums = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
        configuration = self.workspace.configuration_digest(modules_only=True)
        wanted = f"{configuration} {checksums} {product}"
        marker = self.workspace.folder / ".terraform" / "jarkkit-initialised"
        if self.terraform.initialised and marker.is_file() and marker.read_text() == wanted:
            return
        self.workspace.save_lock_file(lock)
        yield from self.terraform.init()
        marker.write_text(wanted)

    def _pinned_addons(
        self, step: Step, *, upgrade: bool
    ) -> Generator[StepEvent, None, dict[str, Any]]:
        """Return Terraform's `eks_addons` with pinned versions, and pin those that are not yet."""
        cluster_version = self.settings.cluster_version
        wanted = self.stack.eks_addons
        before = self.workspace.load(ADDON_PINS, EksAddonVersions) or EksAddonVersions()
        pinned = addon_versions.kept_versions(before, cluster_version, upgrade=upgrade)
        if step != "cleanup":  # what only deletes needs no version
            missing = addon_versions.unpinned(wanted, pinned)
            pinned |= self.account.newest_addon_versions(missing, cluster_version)
            for move in addon_versions.moves(before.versions, pinned):
                yield StepMessage(move)
            after = EksAddonVersions(cluster_version=cluster_version, versions=pinned)
            self.workspace.save(ADDON_PINS, after)
        return addon_versions.with_versions(wanted, pinned)

    def _layout(self, step: Step) -> NetworkLayout:
        """Return the network to plan. Raises JK-SETTINGS-FIXED, JK-ZONES-TOO-FEW."""
        applied = self.workspace.load(LAYOUT, NetworkLayout)
        if step == "cleanup" and applied is not None:
            return applied
        zones = planned_zones(self.stack, self.account, self.workspace)
        return next_layout(self.settings, zones, applied)

    def _versions(self, step: Step) -> PlannedVersions:
        """Return the versions to plan. Raises JK-VERSION-STEP, JK-VERSION-DRIFT."""
        wanted = self.settings.cluster_version
        if step == "cleanup":  # which deletes a cluster of any version
            return PlannedVersions(wanted, wanted)
        return next_versions(wanted, running_versions(self.settings, self.account, self.workspace))

    def _release_version(self, step: Step, node_version: str, *, upgrade: bool) -> str:
        """Return the release version of the node groups' AMI: pinned until the settings name
        another version or you ask for an upgrade, because a newer one replaces the nodes."""
        ami_version = self.settings.ami_version
        pinned = str(self.workspace.tfvars().get("node_release_version") or "")
        fits = pinned.startswith(f"{node_version}.") and pinned.endswith(ami_version[1:])
        if step == "cleanup" or (fits and not upgrade):
            return pinned
        return self.account.node_release_version(node_version, ami_version)

    # -- planning ------------------------------------------------------------------------------

    def plan(
        self, target: Target, *, file: str = "plan.tfplan", destroy: bool = False
    ) -> Generator[StepEvent, None, Plan]:
        """Plan, and import what an unfinished run left in the account. Returns the plan."""
        yield PhaseProgress("plan", "started")
        changes = yield from self._planned(file, destroy=destroy)
        if not destroy and self._may_have_orphans(changes):
            changes = yield from self._adopting(file, changes)
        if not destroy and any(c.action in ("update", "replace", "delete") for c in changes):
            changes = changes_from_plan(self.terraform.show(file))  # names, and what forces them
        plan = Plan(
            made=now(),
            digest=self.digest(target),
            file=file,
            destroy=destroy,
            terraform=f"{self.terraform.tool.product} {self.terraform.tool.version}",
            target=target,
            changes=changes,
            seconds=critical_path_seconds(changes),
            sha256=self.workspace.sha256(file),
            losses=() if destroy else plan_losses(changes, ignore_tainted=self.unfinished()),
        )
        yield PhaseProgress("plan", "done", message=plan_summary(plan))
        return plan

    def _planned(
        self, file: str, *, destroy: bool = False, only: Sequence[str] = ()
    ) -> Generator[StepEvent, None, tuple[ResourceChange, ...]]:
        yield from self.terraform.plan(file, destroy=destroy, targets=only)
        return self.terraform.planned_changes()

    def _may_have_orphans(self, changes: tuple[ResourceChange, ...]) -> bool:
        """Return True if the plan could create a resource that already exists.

        That needs a plan that creates resources, after an unfinished run or with an empty state.
        """
        if not any(change.action == "create" for change in changes):
            return False
        return self.unfinished() or all(change.action == "create" for change in changes)

    def _adopting(
        self, file: str, changes: tuple[ResourceChange, ...]
    ) -> Generator[StepEvent, None, tuple[ResourceChange, ...]]:
        found = self.scan_resources().found
        adopted: dict[str, ResourceImport] = {}
        for _ in range(_ADOPTION_ROUNDS if found else 0):
            changes = changes_from_plan(self.terraform.show(file))  # includes the resources' names
            fresh = {
                a.address: a for a in match_imports(changes, found) if a.address not in adopted
            }
            if not fresh:
                break
            adopted |= fresh
            self.workspace.save_generated(_ADOPT, import_blocks(adopted.values()))
            for address in fresh:
                yield StepMessage(f"{address} already exists in the account: importing it")
            changes = yield from self._planned(file)
        return changes

    # -- access --------------------------------------------------------------------------------

    def ensure_cluster_access(self) -> Iterator[StepEvent]:
        """Give the caller access to the cluster if another principal created it.

        Raises JK-AWS-….
        """
        access = self.account.cluster_access
        if principal := access.ensure(self.settings.name, self.account.caller()):
            yield StepMessage(f"{principal} is an administrator of the cluster now")

    # -- repairing -----------------------------------------------------------------------------

    def unfinished(self) -> bool:
        """Return True if the last deploy or cleanup before this run did not finish."""
        runs = [e for e in self.workspace.ledger_entries() if e.step in ("deploy", "cleanup")]
        past = runs[:-1] if runs and runs[-1].pid == os.getpid() else runs
        return bool(past) and past[-1].status != "finished"

    def wait_for_aws(self) -> Iterator[StepEvent]:
        """Wait until an earlier run is complete: a Terraform process that outlived jarkkit, and
        cluster components that AWS is still creating or deleting."""
        if self.terraform.running:
            yield StepMessage("Terraform of an earlier run is still running: following it")
            yield from self.terraform.follow_running()
        if self.unfinished():
            yield from self._wait_for_aws()

    def _wait_for_aws(self) -> Iterator[StepEvent]:
        name = self.settings.name
        for elapsed in poll(_SETTLE_SECONDS, sleep=self.sleep):
            if not (moving := self._moving()):
                return
            yield PhaseProgress(
                "settle",
                "running",
                f"waiting for AWS to finish: {', '.join(moving)} of {name}",
                round(elapsed, 1),
            )

    def _moving(self) -> tuple[str, ...]:
        cluster = self.own_cluster()
        if cluster is None:
            return ()
        if cluster.status in _MOVING:
            return (f"cluster {cluster.status}",)
        parts = self.account.cluster_components(cluster.name)
        return tuple(f"{p.kind} {p.name} {p.status}" for p in parts if p.status in _MOVING)

    def untaint(self) -> Iterator[StepEvent]:
        """Untaint resources that AWS completed after an interruption.

        Terraform marks a resource as tainted when its creation is interrupted, and would replace
        it.
        """
        tainted = _tainted(self.terraform.show())
        if not tainted:
            return
        sound = self._sound()
        for address, resource_id in tainted.items():
            if resource_id in sound:
                self.terraform.untaint(address)
                yield StepMessage(f"AWS has completed {address} in the meantime: keeping it")

    def _sound(self) -> frozenset[str]:
        found = self.scan_resources().found
        ids = {owned.import_id for owned in found}
        parts = (
            self.account.cluster_components(self.settings.name) if self.settings.name in ids else ()
        )
        broken = {f"{self.settings.name}:{p.name}" for p in parts if p.status != "ACTIVE"}
        cluster = self.own_cluster()
        if cluster is not None and cluster.status != "ACTIVE":
            broken.add(cluster.name)
        return frozenset(ids - broken)

    # -- applying ------------------------------------------------------------------------------

    def apply(self, plan: Plan, *, after: float = 0.0) -> Iterator[StepEvent]:
        """Apply a plan and yield its progress. Records the target before the first change.

        Raises JK-PLAN-STALE if the plan file is not the one that was planned.

        Args:
            after: estimated seconds for the rest of the step, included in the remaining time.
        """
        if plan.sha256 != self.workspace.sha256(plan.file):
            raise JarkkitError(
                "JK-PLAN-STALE",
                f"The plan file {plan.file} changed after it was planned.",
                "Create a new plan and review it: jarkkit plan",
            )
        self.workspace.save("target", plan.target)
        if not plan.destroy:
            self.workspace.save(LAYOUT, layout_of(self.workspace.tfvars()))
        began = monotonic()
        elapsed = iter(lambda: monotonic() - began, None)
        word = "destroy" if plan.destroy else "apply"
        yield PhaseProgress(word, "started", message=plan_summary(plan))
        events = self.terraform.apply(plan.file)
        progress = ProgressEstimator(plan.pending, after, rehearsal=plan.target.rehearsal)
        yield from progress.annotate(events, elapsed)
        self.workspace.save_generated(_ADOPT, None)
        yield PhaseProgress(word, "done")

    def save_applied_permissions(self, *, complete: bool) -> None:
        """Record what removes the resources that can exist: until the apply is complete, also those
        of earlier settings.

        Raises JK-DEPLOYMENT-DAMAGED, so call it before the first change.
        """
        earlier = None
        if not complete:
            earlier = self.workspace.load(APPLIED_PERMISSIONS, AppliedPermissions)
        self.workspace.save(APPLIED_PERMISSIONS, applied_permissions(self.stack, earlier))

    # -- the cluster ---------------------------------------------------------------------------

    def own_cluster(self) -> EksCluster | None:
        """Return the deployment's cluster; None if there is none, or if it is another's."""
        return own_cluster(self._name, self.account, self.workspace)

    def scan_resources(self, *, kept: bool = False) -> ResourceInventory:
        """Return all resources of the deployment in the account (`Account.scan_resources`)."""
        endpoint = recorded_endpoint(self.workspace)
        return self.account.scan_resources(self._name, kept=kept, endpoint=endpoint)

    # -- deletion protection -------------------------------------------------------------------

    def protect_cluster(self) -> Iterator[StepEvent]:
        """Switch the cluster's deletion protection as the settings say.

        Pinned provider 5.100 cannot (6.9 added it), so this is a call of our own. A failure is a
        warning: the cluster works without it.
        """
        wanted, cluster = self.settings.deletion_protection, self.own_cluster()
        if cluster is None or cluster.deletion_protection == wanted:
            return
        try:
            self.account.set_deletion_protection(self._name, enabled=wanted)
        except JarkkitError as error:
            text = f"The cluster's deletion protection is unchanged. {error.message}"
            yield warning(text, error.code)

    def unprotect_cluster(self) -> Iterator[StepEvent]:
        """Switch deletion protection off, because you confirmed that the cluster is deleted.

        AWS can switch it off only on an active cluster, and ignores it on any other.
        https://docs.aws.amazon.com/eks/latest/userguide/deletion-protection.html
        """
        yield from self._wait_for_aws()
        cluster = self.own_cluster()
        if cluster is None or not cluster.deletion_protection or cluster.status != "ACTIVE":
            return
        yield StepMessage("Switching off the cluster's deletion protection")
        self.account.set_deletion_protection(self._name, enabled=False)
        yield from self._wait_for_aws()

    @property
    def _name(self) -> str:
        return self.settings.name

    # -- importing -----------------------------------------------------------------------------

    def import_existing(self, target: Target) -> Iterator[StepEvent]:
        """Import existing resources that the state lacks, so that a destroy finds them.

        Terraform imports all of them in one apply: during single imports, the configuration would
        refer to resources that are not in the state yet. If the apply would create a resource that
        costs money, nothing is imported, and the receipt lists the remaining resources.
        """
        yield from self.plan(target, file=_ADOPT_PLAN)
        if blocks := self.workspace.generated(_ADOPT).get("import", []):
            only = [block["to"] for block in blocks]
            changes = yield from self._planned(_ADOPT_PLAN, only=only)
            made = [c.address for c in changes if c.action == "create" and c.type in _COSTLY]
            if made:
                yield StepMessage(f"Not imported, because that would create {', '.join(made)}")
            else:
                yield from self.terraform.apply(_ADOPT_PLAN)
        self.workspace.save_generated(_ADOPT, None)


_COSTLY = frozenset({"aws_eks_cluster", "aws_eks_node_group", "aws_nat_gateway"})
_MOVING = ("CREATING", "UPDATING", "DELETING", "PENDING")


def planned_zones(stack: ResolvedStack, account: Account, workspace: Workspace) -> tuple[str, ...]:
    """Return the zones that the next plan uses; in an existing VPC, those of its subnets.

    They are those of the last plan if they still match the settings, so that existing subnets never
    change zone; otherwise others are chosen beside those of the last apply. Raises
    JK-SETTINGS-FIXED, JK-ZONES-TOO-FEW, JK-SETTINGS-INVALID, JK-NETWORK-VPC.
    """
    settings, applied = stack.settings, workspace.load(LAYOUT, NetworkLayout)
    check_layout(settings, applied)
    if settings.vpc_id:
        return _subnet_zones(settings, account)
    before = workspace.tfvars()
    pinned = tuple(before.get("availability_zones", ()))
    same_region = before.get("region") == settings.region
    if same_region and len(pinned) == settings.az_count:
        named = settings.availability_zones
        if not named or set(named) == set(pinned):
            return pinned
    offerings = account.offerings(stack.instance_patterns)
    keep = applied.zones if applied else ()
    return choose_zones(settings, account.zones(), offerings, keep)


def _subnet_zones(settings: Settings, account: Account) -> tuple[str, ...]:
    """Return the zones of the private subnets of the existing VPC, sorted.

    Raises JK-SETTINGS-INVALID for a subnet that does not exist, JK-NETWORK-VPC for a single zone.
    """
    found = account.network.subnets(settings.private_subnet_ids)
    missing = set(settings.private_subnet_ids) - {subnet.subnet_id for subnet in found}
    if missing:
        raise JarkkitError(
            "JK-SETTINGS-INVALID",
            f"These subnets of private_subnet_ids do not exist in {settings.region}: "
            f"{', '.join(sorted(missing))}.",
            "Correct private_subnet_ids: aws ec2 describe-subnets lists the existing subnets.",
        )
    names = tuple(sorted({subnet.zone for subnet in found}))
    if len(names) < 2:
        raise JarkkitError(
            "JK-NETWORK-VPC",
            f"All subnets of private_subnet_ids are in {names[0]}.",
            "Add a subnet of another zone to private_subnet_ids: EKS needs two zones.",
        )
    return names


def running_versions(
    settings: Settings, account: Account, workspace: Workspace
) -> RunningVersions | None:
    """Return the versions of the deployment's cluster; None if no healthy one exists."""
    cluster = own_cluster(settings.name, account, workspace)
    if cluster is None or cluster.status not in ("ACTIVE", "UPDATING"):
        return None
    if cluster.version == settings.cluster_version:
        return RunningVersions(cluster.version)
    deployed = workspace.load("deployed", DeployResult)
    is_rollback = minor(settings.cluster_version) < minor(cluster.version)
    parts = account.cluster_components(settings.name)
    return RunningVersions(
        cluster.version,
        {part.name: part.version for part in parts if part.kind == "node group"},
        str(deployed.outputs.get("cluster_version", "")) if deployed else "",
        account.days_since_upgrade(settings.name) if is_rollback else None,
    )


def check_region(region: str, known: tuple[str, ...]) -> None:
    """Raise JK-REGION-UNKNOWN, with the closest name, for a Region without EKS."""
    if region not in known:
        near = unknown_name_error(region, known, source="region")
        raise JarkkitError(
            "JK-REGION-UNKNOWN",
            f"There is no Region {region!r} with Amazon EKS.",
            near.fix if near.fix.startswith("Did") else f"Choose from: {', '.join(known)}.",
        )


def only_account(caller: Caller) -> dict[str, Any]:
    """Return an override of the provider (a .tf.json document) that refuses all other accounts.

    You may run Terraform yourself in a deployment's folder, with whatever credentials your shell
    has. In a rehearsal's folder it would otherwise plan the whole stack in a real account.
    https://developer.hashicorp.com/terraform/language/files/override
    """
    return {"provider": {"aws": {"allowed_account_ids": [caller.account_id]}}}


def backend(settings: Settings) -> dict[str, Any] | None:
    """Return Terraform's backend block (a .tf.json document); None for a local state."""
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


def plan_summary(plan: Plan) -> str:
    """Return a one-line summary of a plan: the number of resources per action."""
    parts = [f"{len(changes)} {ACTION_WORDS[a]}" for a, changes in plan.by_action().items()]
    return ", ".join(parts) or "no AWS resource changes"


def _tainted(state: dict[str, Any]) -> dict[str, str]:
    """Return addresses and ids of tainted resources, from `terraform show -json`."""

    def walk(module: dict[str, Any]) -> Iterator[tuple[str, str]]:
        for resource in module.get("resources", []):
            if resource.get("tainted"):
                yield resource["address"], str(resource["values"].get("id", ""))
        for child in module.get("child_modules", []):
            yield from walk(child)

    return dict(walk(state.get("values", {}).get("root_module", {})))
