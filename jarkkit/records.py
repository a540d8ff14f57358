"""The values that travel from step to step and are saved in the deployment's folder.

All are frozen, refuse unknown keys and read back exactly what they wrote, so that a file from
another release or a damaged file is noticed when it is loaded, not three steps later.
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


class Record(BaseModel):
    """Base of all saved values."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Event(Record):
    """One thing that happened during long work.

    Attributes:
        time: UTC, ISO 8601.
        step: which step it belongs to.
        kind: `phase` (a part of the step), `resource` (a Terraform resource), `addon` (of the
            cluster layer), `message`, `warning` or `error`.
        subject: resource address, name of add-on or phase.
        action: what is being done to the resource.
        status: `started`, `running` (a heartbeat), `done` or `failed`.
        seconds: how long this subject has taken so far.
        done, total: how many of the step's resources, or of its add-ons, are finished.
        seconds_left: estimate for the whole step; None when there is nothing to base it on.
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


class Seconds(Record):
    """A time: at least, likely, at most."""

    low: float
    likely: float
    high: float


class Entry(Record):
    """One line of the ledger: a step started, or how it ended.

    Attributes:
        expected: how long AWS was expected to take for it; with `started`.
        seconds: how long it took; when it has ended.
    """

    time: str
    step: Step
    status: Literal["started", "finished", "failed", "interrupted"]
    digest: str = ""
    code: str = ""
    message: str = ""
    fix: str = ""
    evidence: str = ""
    pid: int | None = None
    expected: Seconds | None = None
    seconds: float | None = None


class Timed(Record):
    """What was expected of a step and what it took.

    Attributes:
        expected: on AWS, said before it began.
        expected_here: by this home's own whole runs of the same kind before; None without any.
        seconds: what it took; None where it has not ended.
    """

    step: Step
    status: Literal["started", "finished", "failed", "interrupted"]
    expected: Seconds | None = None
    expected_here: Seconds | None = None
    seconds: float | None = None


class Caller(Record):
    """Whose credentials these are (STS GetCallerIdentity)."""

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
        """In extended support, which costs more."""
        return "extended" in self.support.lower()


class CapacityReservation(Record):
    """Instances that are set aside for the account (EC2 DescribeCapacityReservations).

    Attributes:
        state: `active`, `scheduled`, `expired`, `cancelled`, …
        total, free: instances.
        block: True for a Capacity Block.
        ends: UTC, ISO 8601; empty where it has no end.
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
    """A Capacity Block that can be bought (EC2 DescribeCapacityBlockOfferings).

    Attributes:
        starts: UTC, ISO 8601.
        usd: for all of it, paid at once.
    """

    instance_type: str
    zone: str
    starts: str
    hours: int
    instances: int
    usd: float


class Subnet(Record):
    """A subnet (EC2 DescribeSubnets).

    Attributes:
        free: addresses that nothing has.
    """

    subnet_id: str
    vpc_id: str
    zone: str
    free: int


class InstanceType(Record):
    """What an instance type has (EC2 DescribeInstanceTypes).

    Attributes:
        accelerators: GPUs or Neuron devices.
    """

    name: str
    vcpus: int
    accelerators: int = 0


class Cluster(Record):
    """An EKS cluster as the API describes it."""

    name: str
    arn: str
    status: str
    version: str
    endpoint: str = ""
    platform_version: str = ""


class ControlPlane(Record):
    """How an EKS cluster does (EKS DescribeCluster).

    Attributes:
        issues: code and message of each health issue.
        public: its endpoint can be reached from the internet, from the networks in `open_to`.
    """

    status: str
    issues: tuple[str, ...] = ()
    public: bool = True
    open_to: tuple[str, ...] = ()
    vpc_id: str = ""


class Instance(Record):
    """An instance that is, or was, to be a node (EC2 DescribeInstances).

    Attributes:
        launched: UTC, ISO 8601.
        group: the Karpenter pool or the managed node group.
        reason: code and message of why it is in its state; mostly empty.
    """

    instance_id: str
    instance_type: str
    zone: str
    state: str
    launched: str
    group: str = ""
    spot: bool = False
    reason: str = ""


class Gateway(Record):
    """A NAT gateway (EC2 DescribeNatGateways); `message` says why it failed."""

    gateway_id: str
    state: str
    message: str = ""


class Part(Record):
    """A part of a cluster that has a life of its own: a node group or an EKS add-on."""

    kind: Literal["node group", "add-on"]
    name: str
    status: str
    version: str = ""
    issues: tuple[str, ...] = ()


class Owned(Record):
    """Something in the account that carries the deployment's tag or name.

    `terraform_type` and `import_id` are what Terraform calls it, so that it can be adopted.
    `usd_per_month` is not known here: the price table belongs to the cost step.
    """

    terraform_type: str
    import_id: str
    name: str = ""
    arn: str = ""
    billable: bool = False


class UniqueName(Record):
    """A name that only one thing can have, in the account and its Region or in the whole world.

    `vpc_id` is set where it is unique in that VPC only.
    """

    terraform_type: str
    name: str
    vpc_id: str = ""


class Target(Record):
    """Where a deployment lives. Compared before every call that changes or deletes something."""

    account_id: str
    region: str
    cluster_arn: str
    rehearsal: bool


class ResourceChange(Record):
    """What a plan will do to one Terraform resource."""

    address: str
    type: str
    area: Area
    action: Action
    name: str = ""


class Plan(Record):
    """A saved Terraform plan and what it stands for.

    Attributes:
        digest: of the settings, the configuration and the target it was made for.
        file: name of the binary plan inside the deployment's folder.
        seconds: estimate of the apply (published durations, critical path).
    """

    made: str
    digest: str
    file: str
    destroy: bool = False
    terraform: str
    target: Target
    changes: tuple[ResourceChange, ...]
    seconds: float

    def count(self, action: Action) -> int:
        """How many resources get this action."""
        return sum(change.action == action for change in self.changes)

    @property
    def pending(self) -> tuple[ResourceChange, ...]:
        """The changes that the apply will carry out; reads and no-ops left out."""
        return tuple(c for c in self.changes if c.action not in ("no-op", "read"))

    def by_area(self) -> dict[Area, tuple[ResourceChange, ...]]:
        """The pending changes grouped by area, empty areas left out, in the journey's order."""
        grouped = {a: tuple(c for c in self.pending if c.area == a) for a in AREAS}
        return {area: changes for area, changes in grouped.items() if changes}


class Deployed(Record):
    """What the AWS layer consists of after a deploy, read back from Terraform's outputs."""

    time: str
    target: Target
    digest: str
    seconds: float
    outputs: dict[str, object]


class ObjectName(Record):
    """Which object of the cluster."""

    api_version: str
    kind: str
    name: str
    namespace: str = ""


class Installed(Record):
    """An add-on that the kit has begun to install. Written before the first call.

    Attributes:
        release: of Helm; empty for an add-on without one.
        chart: name and version.
        real: False where a stand-in took the chart's place; None without a chart.
        digest: of all that it was installed with; empty until its workloads are ready.
        before, after: the objects that were applied beside the release, in their order.
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
    """What the cluster layer consists of.

    Attributes:
        cluster: which cluster it is about: a fingerprint of its certificate authority.
        ami_version: the version of machine images that Karpenter launches, pinned.
        cluster_version: of Kubernetes, for which it was pinned.
        addons: by name.
    """

    cluster: str = ""
    ami_version: str = ""
    cluster_version: str = ""
    addons: dict[str, Installed] = {}


class Receipt(Record):
    """The proof at the end: what was destroyed and what, if anything, is left."""

    time: str
    target: Target
    destroyed: int
    left: tuple[Owned, ...]
    looked_at: tuple[str, ...]
    not_looked_at: tuple[str, ...] = ()
    seconds: float

    @property
    def clean(self) -> bool:
        """True when every place was looked at and nothing was found."""
        return not self.left and not self.not_looked_at


class Where(Record):
    """Where a deployment stands, and the one next thing to do."""

    deployment: str
    state: Literal[
        "new", "configured", "planned", "deploying", "deployed", "changed", "failed", "cleaning",
        "removed",
    ]  # fmt: skip
    summary: str
    next_command: str
    target: Target | None = None
    last: Entry | None = None
    running: bool = False
