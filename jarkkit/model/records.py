"""The values that steps pass to each other and save in the deployment's folder.

All are frozen, reject unknown keys and round-trip exactly, so that loading detects a damaged file
or one from another release, instead of a later step.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Step = Literal["configure", "preflight", "plan", "deploy", "verify", "use", "cleanup"]
Area = Literal[
    "network", "cluster", "nodes", "add-ons", "identity", "storage", "observability", "budget"
]
Action = Literal["create", "update", "replace", "delete", "read", "import", "no-op"]

AREAS: tuple[Area, ...] = (
    "network",
    "cluster",
    "nodes",
    "add-ons",
    "identity",
    "storage",
    "observability",
    "budget",
)


# The actions that change something, the most destructive last, and how a plan names them.
ACTIONS: tuple[Action, ...] = ("create", "import", "update", "replace", "delete")
ACTION_WORDS: dict[Action, str] = {
    "create": "to create",
    "import": "to import",
    "update": "to change in place",
    "replace": "to replace",
    "delete": "to destroy",
}


class Record(BaseModel):
    """Base of all saved values."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Event(Record):
    """One event of a long-running step, as it is saved: a value of `model/events.py`, stamped.

    Attributes:
        time: UTC, ISO 8601.
        step: the step that it belongs to.
        kind: `phase` (a part of the step), `resource` (a Terraform resource), `addon` (of the
            cluster layer), `message`, `warning` or `error`.
        subject: resource address, or name of the add-on or phase.
        action: what Terraform does to the resource.
        status: `started`, `running` (a heartbeat), `done` or `failed`.
        seconds: duration of this subject so far.
        done, total: number of finished and of all resources, or add-ons, of the step.
        seconds_left: estimate for the whole step; None without a basis for one.
    """

    time: str
    step: Step
    kind: Literal["phase", "resource", "addon", "message", "warning", "error"]
    subject: str = ""
    action: Action | None = None
    status: Literal["started", "running", "done", "failed"] | None = None
    seconds: float | None = None
    message: str = ""
    code: str = ""
    done: int | None = None
    total: int | None = None
    seconds_left: float | None = None


class DurationRange(Record):
    """A duration in seconds: minimum, likely and maximum."""

    low: float
    likely: float
    high: float


class LedgerEntry(Record):
    """One line of the ledger: the start of a step, or how it ended.

    Attributes:
        subjects: names of the add-ons or settings because of which it failed.
        expected: estimated duration on AWS; with `started`.
        seconds: actual duration; when it has ended.
    """

    time: str
    step: Step
    status: Literal["started", "finished", "failed", "interrupted"]
    digest: str = ""
    code: str = ""
    message: str = ""
    fix: str = ""
    evidence: str = ""
    subjects: tuple[str, ...] = ()
    pid: int | None = None
    expected: DurationRange | None = None
    seconds: float | None = None


class StepTiming(Record):
    """Estimated and actual duration of a step.

    Attributes:
        expected: estimate for AWS, from before the step began.
        expected_here: estimate from earlier complete runs of the same kind in this home; None
            without any.
        seconds: actual duration; None if it has not ended.
    """

    step: Step
    status: Literal["started", "finished", "failed", "interrupted"]
    expected: DurationRange | None = None
    expected_here: DurationRange | None = None
    seconds: float | None = None


class Caller(Record):
    """The identity behind the credentials (STS GetCallerIdentity)."""

    account_id: str
    arn: str


class Zone(Record):
    """An Availability Zone (EC2 DescribeAvailabilityZones)."""

    name: str
    zone_id: str
    zone_type: str = "availability-zone"
    opt_in_status: str = "opt-in-not-required"
    state: str = "available"


class ClusterVersion(Record):
    """A Kubernetes version that EKS offers (EKS DescribeClusterVersions)."""

    version: str
    support: str
    end_of_standard_support: str = ""

    @property
    def extended(self) -> bool:
        """Whether the version is in extended support, which costs more."""
        return "extended" in self.support.lower()


class Ec2CapacityReservation(Record):
    """A capacity reservation of the account (EC2 DescribeCapacityReservations).

    Attributes:
        state: `active`, `scheduled`, `expired`, `cancelled`, …
        total, free: numbers of instances.
        block: True for a Capacity Block.
        ends: UTC, ISO 8601; empty without an end date.
    """

    reservation_id: str
    instance_type: str
    zone: str
    state: str
    total: int
    free: int
    block: bool = False
    ends: str = ""


class CapacityBlock(Record):
    """A Capacity Block that you can buy (EC2 DescribeCapacityBlockOfferings).

    Attributes:
        starts: UTC, ISO 8601.
        usd: total price, paid up front.
    """

    instance_type: str
    zone: str
    starts: str
    hours: int
    instances: int
    usd: float


class Ec2Subnet(Record):
    """A subnet (EC2 DescribeSubnets).

    Attributes:
        free: number of unused addresses.
    """

    subnet_id: str
    vpc_id: str
    zone: str
    free: int


# Where a subnet's default route leads: `internet` serves only instances with a public address;
# `other` leads out of the VPC in a way that is not followed further.
WayOut = Literal["", "nat", "internet", "other"]


class SubnetNetwork(Record):
    """Where a subnet is and what its default route reaches.

    Attributes:
        public_addresses: instances in it get public addresses.
    """

    subnet_id: str
    vpc_id: str
    zone: str
    zone_id: str = ""
    public_addresses: bool = False
    way_out: WayOut = ""


class Certificate(Record):
    """A certificate in AWS Certificate Manager.

    Attributes:
        status: as ACM names it: `ISSUED`, `PENDING_VALIDATION`, `EXPIRED`, …
        names: the host names that it is for; `*.example.com` is for one label before the rest.
    """

    status: str
    names: tuple[str, ...]


class ExistingVpc(Record):
    """A VPC that jarkkit did not create, with some of its subnets.

    Attributes:
        endpoints: services with a VPC endpoint, without Region: `ecr.api`.
    """

    vpc_id: str
    dns_support: bool = True
    dns_hostnames: bool = True
    subnets: tuple[SubnetNetwork, ...] = ()
    endpoints: frozenset[str] = frozenset()


class InstanceType(Record):
    """An instance type (EC2 DescribeInstanceTypes).

    Attributes:
        accelerators: number of GPUs or Neuron devices.
        architectures: of its processor, such as `x86_64`; empty if unknown.
        nvidia: whether the accelerators are NVIDIA GPUs.
    """

    name: str
    vcpus: int
    accelerators: int = 0
    architectures: tuple[str, ...] = ()
    nvidia: bool = False


class EksCluster(Record):
    """An EKS cluster as the API describes it.

    Attributes:
        issues: code and message of each health issue.
        public: whether its endpoint is reachable from the internet, from the networks in `open_to`.
    """

    name: str
    arn: str
    status: str
    version: str
    endpoint: str = ""
    deletion_protection: bool = False
    tags: dict[str, str] = {}
    issues: tuple[str, ...] = ()
    public: bool = True
    open_to: tuple[str, ...] = ()


class Instance(Record):
    """An instance that was launched as a node (EC2 DescribeInstances).

    Attributes:
        launched: UTC, ISO 8601.
        group: the Karpenter node pool or the managed node group.
        reason: code and message of the latest state transition; usually empty.
    """

    instance_id: str
    instance_type: str
    zone: str
    state: str
    launched: str
    group: str = ""
    spot: bool = False
    reason: str = ""


class NatGateway(Record):
    """A NAT gateway (EC2 DescribeNatGateways); `message` is the reason for a failure."""

    gateway_id: str
    state: str
    message: str = ""


class ClusterComponent(Record):
    """A node group or an EKS add-on of a cluster."""

    kind: Literal["node group", "add-on"]
    name: str
    status: str
    version: str = ""
    issues: tuple[str, ...] = ()


class OwnedResource(Record):
    """A resource in the account that has the deployment's tag or name.

    `terraform_type` and `import_id` identify it to Terraform, so that Terraform can import it.

    Attributes:
        location: where the inventory found it, as in `Receipt.looked_at`.
        proof: the tag (`key=value`) or name that proves that it is the deployment's.
        of_cluster: the cluster or one of its controllers created it, so it is not in any plan.
        gib: size of its storage; None if that is unknown or has no meaning.
        why_kept: why cleanup does not delete it; empty if it does.
        usd_per_month: list price; None if it is unknown. The inventory has no prices: cleanup adds
            them to its receipt.
    """

    terraform_type: str
    import_id: str
    name: str = ""
    arn: str = ""
    billable: bool = False
    location: str = ""
    proof: str = ""
    of_cluster: bool = False
    gib: float | None = None
    why_kept: str = ""
    usd_per_month: float | None = None


class NodeRun(Record):
    """A node of Karpenter, from its start to its end. Times are ISO 8601.

    Attributes:
        name: of its NodeClaim; empty if it is not known.
        instance_type: empty if only its events were left.
        capacity: `on-demand`, `spot` or `reserved`; empty if it is not known.
        seen: when it certainly still ran.
        gone: when it certainly had ended; empty while it runs.
    """

    name: str = ""
    instance_id: str = ""
    pool: str
    instance_type: str = ""
    capacity: str = ""
    began: str
    seen: str
    gone: str = ""


class NodeHistory(Record):
    """The nodes of Karpenter that steps have seen."""

    runs: tuple[NodeRun, ...] = ()


class UniqueName(Record):
    """A name that must be unique, in the account and its Region or globally.

    `vpc_id` is set if it must be unique in that VPC only.
    """

    terraform_type: str
    name: str
    vpc_id: str = ""


class Target(Record):
    """Account, Region and cluster of a deployment, compared before every change or deletion."""

    account_id: str
    region: str
    cluster_arn: str
    rehearsal: bool


class NetworkLayout(Record):
    """Where a deployment lies. Saved before each apply, because some of it can never change.

    Attributes:
        zones: names of all zones, in the order that gives their subnets their addresses.
        initial_zones: those of the first apply, in which control plane and node groups stay.
        vpc_id: an existing VPC; empty for a VPC of the deployment's own.
        initial_subnets: with an existing VPC, its private subnets at the first apply.
    """

    zones: tuple[str, ...]
    initial_zones: tuple[str, ...]
    vpc_id: str = ""
    initial_subnets: tuple[str, ...] = ()


class ResourceChange(Record):
    """The change that a plan makes to one Terraform resource.

    Attributes:
        resource_id: of the existing resource, such as `fs-0123`; empty if it does not exist yet.
        reason: why Terraform chose the action, in its own words, such as `tainted`.
        forced_by: the attributes whose change forces a replacement.
    """

    address: str
    type: str
    area: Area
    action: Action
    name: str = ""
    resource_id: str = ""
    reason: str = ""
    forced_by: tuple[str, ...] = ()


class Loss(Record):
    """What you lose when a plan destroys or replaces a resource.

    Attributes:
        lost: what is gone afterwards, in plain words.
        objects: names of the objects that are lost with it, such as claims.
        confirm: True if the apply needs the deployment's name.
    """

    address: str
    action: Literal["replace", "delete"]
    resource: str
    lost: str
    objects: tuple[str, ...] = ()
    confirm: bool = False


AddonAction = Literal["install", "change", "none", "remove", "unknown"]


class AddonChange(Record):
    """What a deploy does to an add-on that jarkkit installs into the cluster.

    Attributes:
        action: judged by what jarkkit last installed and by Terraform's present outputs; `unknown`
            if that was not possible.
        before, after: the version of its chart; empty where it has none or is not installed.
        user_values: the names of your own Helm values, as `outer.inner`.
    """

    name: str
    action: AddonAction
    before: str = ""
    after: str = ""
    user_values: tuple[str, ...] = ()


class Plan(Record):
    """A saved Terraform plan and what it was made for.

    Attributes:
        digest: of the settings, the configuration and the target.
        file: name of the binary plan in the deployment's folder.
        seconds: estimated duration of the apply (published durations, critical path).
        sha256: of the plan file, so that exactly that file is applied.
        losses: what you lose with the resources that it destroys or replaces.
        addons: what the deploy does to each add-on that Terraform does not install; empty in a
            sandbox without clusters, None in a plan that was made without them.
    """

    made: str
    digest: str
    file: str
    destroy: bool = False
    terraform: str
    target: Target
    changes: tuple[ResourceChange, ...]
    seconds: float
    sha256: str = ""
    losses: tuple[Loss, ...] = ()
    addons: tuple[AddonChange, ...] | None = None

    @property
    def changes_nothing(self) -> bool:
        """Whether no AWS resource changes, and no add-on since jarkkit last installed it."""
        return not self.pending and self.addons is not None and not self.pending_addons

    @property
    def pending_addons(self) -> dict[AddonAction, tuple[AddonChange, ...]]:
        """The add-ons that change, by action, without empty ones."""
        actions: tuple[AddonAction, ...] = ("install", "change", "unknown", "remove")
        grouped = {a: tuple(c for c in self.addons or () if c.action == a) for a in actions}
        return {action: changes for action, changes in grouped.items() if changes}

    @property
    def needs_confirmation(self) -> bool:
        """Whether applying it needs the deployment's name."""
        return any(loss.confirm for loss in self.losses)

    def by_action(self) -> dict[Action, tuple[ResourceChange, ...]]:
        """Return the pending changes by action, in the order of `ACTIONS`, without empty ones."""
        grouped = {a: tuple(c for c in self.changes if c.action == a) for a in ACTIONS}
        return {action: changes for action, changes in grouped.items() if changes}

    def count(self, action: Action) -> int:
        """Return the number of resources with this action."""
        return sum(change.action == action for change in self.changes)

    @property
    def pending(self) -> tuple[ResourceChange, ...]:
        """The changes that the apply makes, without reads and no-ops."""
        return tuple(c for c in self.changes if c.action not in ("no-op", "read"))

    def by_area(self) -> dict[Area, tuple[ResourceChange, ...]]:
        """Return the pending changes by area, in the order of `AREAS`, without empty areas."""
        grouped = {a: tuple(c for c in self.pending if c.area == a) for a in AREAS}
        return {area: changes for area, changes in grouped.items() if changes}


class DeployResult(Record):
    """The AWS layer after a deploy, from Terraform's outputs."""

    time: str
    target: Target
    digest: str
    seconds: float
    outputs: dict[str, object]


class ObjectName(Record):
    """The identity of a Kubernetes object."""

    api_version: str
    kind: str
    name: str
    namespace: str = ""


class AddonState(Record):
    """The recorded state of an add-on. Written before the first call that installs it.

    Attributes:
        release: name of the Helm release; empty for an add-on without one.
        chart: name and version.
        real: False if a stub chart replaced the chart; None without a chart.
        digest: of everything it was installed from; empty until its workloads are ready.
        before, after: objects that were applied before and after the release, in their order.
    """

    namespace: str
    release: str = ""
    chart: str = ""
    real: bool | None = None
    digest: str = ""
    before: tuple[ObjectName, ...] = ()
    after: tuple[ObjectName, ...] = ()
    seconds: float | None = None


class ClusterState(Record):
    """The recorded state of the cluster layer.

    Attributes:
        cluster: identity of the cluster: a fingerprint of its certificate authority.
        ami_version: pinned version of the AMI that Karpenter launches.
        cluster_version: Kubernetes version that it was pinned for.
        addons: by name.
    """

    cluster: str = ""
    ami_version: str = ""
    cluster_version: str = ""
    addons: dict[str, AddonState] = {}


class EksAddonVersions(Record):
    """The pinned versions of the EKS add-ons.

    Attributes:
        cluster_version: Kubernetes version that they were pinned for.
        versions: by add-on, such as `v1.23.0-eksbuild.1`.
    """

    cluster_version: str = ""
    versions: dict[str, str] = {}


class UnemptiedCluster(Record):
    """A cluster that could not be emptied, saved before it is destroyed.

    Attributes:
        replaced: by a deploy. To empty its successor proves nothing about it.
        endpoint: of its API, which its successor does not have; empty if several are recorded.
    """

    reason: str
    replaced: bool = False
    endpoint: str = ""


class Receipt(Record):
    """The receipt of a cleanup: what it destroyed and what is left, if anything.

    Attributes:
        left: with the price of each per month.
        kept: what cleanup keeps on purpose, with the reason and the price.
        not_emptied: why the cluster could not be emptied; empty if it was. Its workloads may have
            created resources that no tag connects with it.
    """

    time: str
    target: Target
    destroyed: int
    left: tuple[OwnedResource, ...]
    looked_at: tuple[str, ...]
    not_looked_at: tuple[str, ...] = ()
    kept: tuple[OwnedResource, ...] = ()
    not_emptied: str = ""
    seconds: float

    @property
    def proven(self) -> bool:
        """True if every scan succeeded, and the cluster was emptied before it was destroyed."""
        return not self.not_looked_at and not self.not_emptied

    @property
    def clean(self) -> bool:
        """True if it is proven that nothing is left."""
        return not self.left and self.proven

    @property
    def usd_per_month(self) -> float:
        """Cost of what is left, as far as its prices are known."""
        return sum(resource.usd_per_month or 0 for resource in self.left)

    @property
    def verdict(self) -> str:
        """What the receipt proves, in a few words."""
        if self.left:
            unknown = any(resource.usd_per_month is None for resource in self.left)
            least = "at least " if unknown else ""
            return (
                f"{len(self.left)} resources are left, which cost {least}"
                f"{self.usd_per_month:.2f} USD per month"
            )
        if self.proven:
            return "nothing is left"
        reasons = [f"{len(self.not_looked_at)} locations were not checked"]
        reasons = reasons if self.not_looked_at else []
        reasons += ["the cluster was not emptied"] if self.not_emptied else []
        return f"found nothing, but not proven that nothing is left: {' and '.join(reasons)}"


class DeploymentStatus(Record):
    """The state of a deployment, and the next command to run.

    Attributes:
        cluster_version: Kubernetes version that EKS reports; empty if it was not asked.
    """

    deployment: str
    state: Literal[
        "new", "configured", "planned", "deploying", "deployed", "changed", "failed", "cleaning",
        "removed",
    ]  # fmt: skip
    summary: str
    next_command: str
    target: Target | None = None
    last: LedgerEntry | None = None
    running: bool = False
    cluster_version: str = ""
