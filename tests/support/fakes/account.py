"""An account and a Terraform that return what the test sets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jarkkit.decisions.terraform_messages import changes_from_plan
from jarkkit.model.errors import JarkkitError
from jarkkit.model.events import ResourceProgress, StepEvent
from jarkkit.model.port_answers import ClusterToken, ResourceInventory
from jarkkit.model.records import (
    Caller,
    ClusterComponent,
    ClusterVersion,
    EksCluster,
    NodeRun,
    OwnedResource,
    ResourceChange,
    Zone,
)
from jarkkit.ports.terraform import TerraformTool
from jarkkit.settings import CLUSTER_VERSIONS
from tests.support.fakes.health import FakeHealth
from tests.support.fakes.identity import FakeIdentity
from tests.support.fakes.name_conflicts import FakeNameConflicts
from tests.support.fakes.named_resources import FakeNamedResources
from tests.support.fakes.network import FakeNetwork
from tests.support.fakes.pricing import FakePricing
from tests.support.fakes.quotas import FakeInstanceTypes, FakeQuotas, FakeUsage
from tests.support.fakes.regions import FakeAvailability

LETTERS = "abc"


@dataclass
class FakeAccount:
    """An account that returns what the test sets; `failing` maps a method to its error."""

    region: str = "us-west-2"
    account_id: str = "111122223333"
    clusters: dict[str, EksCluster] = field(default_factory=dict)
    # Names of clusters that another principal created, without the deployment's tag.
    foreign_clusters: frozenset[str] = frozenset()
    components: tuple[ClusterComponent, ...] = ()
    leftovers: tuple[OwnedResource, ...] = ()
    # What the account creates again after each deletion of all leftovers, in turn.
    comes_back: list[tuple[OwnedResource, ...]] = field(default_factory=list)
    in_use: frozenset[str] = frozenset()
    users_of_network: tuple[str, ...] = ()
    launched: tuple[str, ...] = ()
    runs: tuple[NodeRun, ...] = ()
    failing: dict[str, JarkkitError] = field(default_factory=dict)
    skew: float | None = 0.0
    name_conflicts: FakeNameConflicts = field(default_factory=FakeNameConflicts)
    identity: FakeIdentity = field(default_factory=FakeIdentity)
    health: FakeHealth = field(default_factory=FakeHealth)
    pricing: FakePricing = field(default_factory=FakePricing)
    quotas: FakeQuotas = field(default_factory=FakeQuotas)
    usage: FakeUsage = field(default_factory=FakeUsage)
    instance_types: FakeInstanceTypes = field(default_factory=FakeInstanceTypes)
    availability: FakeAvailability = field(default_factory=FakeAvailability)
    cluster_access: FakeClusterAccess = field(default_factory=lambda: FakeClusterAccess())
    addon_version: str = "v1.0.0-eksbuild.1"
    network: FakeNetwork = field(default_factory=FakeNetwork)
    named_resources: FakeNamedResources = field(default_factory=FakeNamedResources)
    cache_resets: int = 0
    # The endpoint in the last call of scan_resources.
    scanned_with: str = ""
    upgraded_days_ago: float | None = None
    # Every change of deletion protection, in order.
    protections: list[bool] = field(default_factory=list)

    def in_region(self, region: str) -> FakeAccount:
        availability = replace(self.availability, region=region)
        return replace(self, region=region, availability=availability)

    def without_retries(self) -> FakeAccount:
        return self

    def ignore_cache(self) -> None:
        self.cache_resets += 1

    def clock_skew(self) -> float | None:
        self._maybe_fail("clock_skew")
        return self.skew

    def endpoints(self) -> dict[str, str]:
        return {"sts": "https://sts.us-west-2.amazonaws.com", "iam": "https://iam.amazonaws.com"}

    def _maybe_fail(self, method: str) -> None:
        if method in self.failing:
            raise self.failing[method]

    def caller(self) -> Caller:
        self._maybe_fail("caller")
        return Caller(
            account_id=self.account_id, arn=f"arn:aws:iam::{self.account_id}:user/learner"
        )

    def known_regions(self) -> tuple[str, ...]:
        return ("eu-west-1", "us-west-2")

    def enabled_regions(self) -> tuple[str, ...]:
        self._maybe_fail("enabled_regions")
        return ("us-west-2",)

    def zones(self) -> tuple[Zone, ...]:
        return tuple(
            Zone(name=f"us-west-2{letter}", zone_id=f"usw2-az{i}")
            for i, letter in enumerate(LETTERS, 1)
        )

    def offerings(self, patterns: tuple[str, ...]) -> dict[str, frozenset[str]]:
        self._maybe_fail("offerings")
        return {p: frozenset(f"us-west-2{letter}" for letter in LETTERS) for p in patterns}

    def cluster_versions(self) -> tuple[ClusterVersion, ...]:
        self._maybe_fail("cluster_versions")
        return tuple(ClusterVersion(version=v, support="STANDARD") for v in CLUSTER_VERSIONS)

    def node_release_version(self, cluster_version: str, ami_version: str = "") -> str:
        return f"{cluster_version}.0-{ami_version.removeprefix('v') or '20261101'}"

    def newest_addon_versions(self, names: Iterable[str], cluster_version: str) -> dict[str, str]:
        self._maybe_fail("newest_addon_versions")
        return dict.fromkeys(names, self.addon_version)

    def cluster(self, name: str) -> EksCluster | None:
        self._maybe_fail("cluster")
        found = self.clusters.get(name)
        tags = {} if name in self.foreign_clusters else {"jarkkit:deployment": name}
        return found and found.model_copy(update={"tags": tags})

    def set_deletion_protection(self, cluster: str, *, enabled: bool) -> None:
        self._maybe_fail("set_deletion_protection")
        self.protections.append(enabled)
        self.clusters[cluster] = self.clusters[cluster].model_copy(
            update={"deletion_protection": enabled}
        )

    def cluster_token(self, name: str) -> ClusterToken:
        return ClusterToken(f"token of {name}", datetime.now(UTC) + timedelta(minutes=15))

    def node_image_version(self, cluster_version: str) -> str:
        return "v20261101"

    def days_since_upgrade(self, cluster: str) -> float | None:
        return self.upgraded_days_ago

    def karpenter_runs(self, deployment: str, now: str) -> tuple[NodeRun, ...]:
        self._maybe_fail("karpenter_runs")
        return tuple(run if run.gone else run.model_copy(update={"seen": now}) for run in self.runs)

    def launched_by_karpenter(self, deployment: str) -> tuple[str, ...]:
        return self.launched

    def terminate_instances(self, ids: list[str]) -> None:
        self.launched = ()

    def cluster_components(self, cluster: str) -> tuple[ClusterComponent, ...]:
        return self.components

    def delete_resource(self, deployment: str, owned: OwnedResource) -> bool:
        self._maybe_fail("delete_resource")
        if owned.import_id in self.in_use:
            return False
        self.leftovers = tuple(o for o in self.leftovers if o.import_id != owned.import_id)
        if not self.leftovers and self.comes_back:
            self.leftovers = self.comes_back.pop(0)
        return True

    def network_users(self, deployment: str, vpc_ids: list[str]) -> tuple[str, ...]:
        return self.users_of_network if vpc_ids else ()

    def scan_resources(
        self, deployment: str, *, kept: bool = False, endpoint: str = ""
    ) -> ResourceInventory:
        self._maybe_fail("scan_resources")
        self.scanned_with = endpoint
        found = tuple(o for o in self.leftovers if kept or not o.why_kept)
        return ResourceInventory(found, ("eks clusters", "ec2 instances"))


@dataclass
class FakeClusterAccess:
    """Access entries by principal; `error` is what every call raises."""

    entries: set[str] = field(default_factory=set)
    error: JarkkitError | None = None

    def ensure(self, cluster: str, caller: Caller) -> str:
        if self.error:
            raise self.error
        if caller.arn in self.entries:
            return ""
        self.entries.add(caller.arn)
        return caller.arn


@dataclass
class FakeTerraform:
    """A Terraform whose state is a list of addresses; `failing` holds errors to raise, in turn."""

    folder: Path
    planned: tuple[str, ...] = ("aws_vpc.demo", "aws_eks_cluster.demo")
    # What a targeted plan also creates, because its targets depend on it.
    dependencies: tuple[str, ...] = ()
    # Addresses in the state that the next plans replace.
    replacing: tuple[str, ...] = ()
    state: list[str] = field(default_factory=list)
    tainted: dict[str, str] = field(default_factory=dict)
    failing: list[tuple[str, BaseException]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    running: bool = False
    cluster_version: str = "1.35"
    last: str = ""
    environ: dict[str, str] = field(default_factory=dict)
    tool: TerraformTool = field(
        default_factory=lambda: TerraformTool(path="/bin/terraform", version="1.11.4")
    )

    @property
    def initialised(self) -> bool:
        return (self.folder / ".terraform").is_dir()

    def init(self) -> Iterator[StepEvent]:
        self.calls.append("init")
        (self.folder / ".terraform").mkdir(exist_ok=True)
        return iter(())

    def plan(
        self, file: str, *, destroy: bool = False, targets: Sequence[str] = ()
    ) -> Iterator[StepEvent]:
        self.calls.append(" ".join(["plan", file, *targets]))
        self.last = file
        self._maybe_fail("plan")
        imports = self.folder / "adopt.tf.json"
        todo = {
            "delete": list(self.state) if destroy else [],
            "create": []
            if destroy
            else [a for a in self._planned_addresses(targets) if a not in self.state],
            "import": json.loads(imports.read_text())["import"] if imports.exists() else [],
            "replace": [] if destroy else [a for a in self.replacing if a in self.state],
        }
        (self.folder / file).write_text(json.dumps(todo))
        return iter(())

    def _planned_addresses(self, targets: Sequence[str]) -> Sequence[str]:
        return (*targets, *self.dependencies) if targets else self.planned

    def planned_changes(self) -> tuple[ResourceChange, ...]:
        return changes_from_plan(self.show(self.last))

    def show(self, file: str = "") -> dict[str, Any]:
        if not file:
            resources = [
                {"address": a, "tainted": True, "values": {"id": i}}
                for a, i in self.tainted.items()
            ]
            return {"values": {"root_module": {"resources": resources}}}
        todo = json.loads((self.folder / file).read_text())
        importing = {item["to"] for item in todo["import"]}
        changes = []
        for action in ("create", "delete"):
            for address in todo[action]:
                change: dict[str, Any] = {"actions": [action], "after": {"name": "demo"}}
                if address in importing:
                    change |= {"actions": ["no-op"], "importing": {"id": "x"}}
                kind = address.split(".")[0]
                changes.append(
                    {"address": address, "type": kind, "mode": "managed", "change": change}
                )
        for address in todo["replace"]:
            replacing = {
                "actions": ["delete", "create"],
                "before": {"id": "old-1", "name": "demo"},
                "after": {"name": "demo"},
                "replace_paths": [["cidr_block"]],
            }
            changes.append(
                {
                    "address": address,
                    "type": address.split(".")[0],
                    "mode": "managed",
                    "change": replacing,
                }
            )
        return {"resource_changes": changes}

    def apply(self, file: str) -> Iterator[StepEvent]:
        self.calls.append(f"apply {file}")
        todo = json.loads((self.folder / file).read_text())
        for address in todo["create"]:
            self._maybe_fail(address)
            self.state.append(address)
            yield ResourceProgress(address, "create", "done")
        for address in todo["delete"]:
            self._maybe_fail(address)
            self.state.remove(address)
            yield ResourceProgress(address, "delete", "done")
        for address in todo["replace"]:
            self._maybe_fail(address)
            yield ResourceProgress(address, "replace", "done")
        self.replacing = ()

    def outputs(self) -> dict[str, Any]:
        return {
            "account_id": "111122223333",
            "cluster_name": "demo",
            "cluster_arn": "arn",
            "cluster_endpoint": "https://x",
            "cluster_certificate_authority": "Q0E=",
            "vpc_id": "vpc-1",
            "cluster_version": self.cluster_version,
            "availability_zones": ["us-west-2a", "us-west-2b"],
            "karpenter": {"queue_name": "q"},
            "efs": {"file_system_id": "fs-1"},
        }

    def untaint(self, address: str) -> None:
        self.calls.append(f"untaint {address}")
        del self.tainted[address]

    def follow_running(self) -> Iterator[StepEvent]:
        self.calls.append("attach")
        self.running = False
        return iter(())

    def _maybe_fail(self, address: str) -> None:
        if self.failing and self.failing[0][0] == address:
            raise self.failing.pop(0)[1]
