"""Hand-written stand-ins for the ports. A test builds the world it needs and hands it to `Kit`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jarkkit.clock import now
from jarkkit.errors import JarkkitError
from jarkkit.records import (
    Caller,
    Cluster,
    ClusterVersion,
    Event,
    Owned,
    Part,
    ResourceChange,
    Step,
    Zone,
)
from jarkkit.settings import CLUSTER_VERSIONS
from jarkkit.terraform import Tool
from jarkkit.terraform_messages import changes_of
from tests.kit.fake_health import FakeHealth
from tests.kit.fake_identity import FakeIdentity
from tests.kit.fake_leftovers import FakeLeftovers
from tests.kit.fake_offers import FakeOffers
from tests.kit.fake_pricing import FakePricing
from tests.kit.fake_quotas import FakeInstanceTypes, FakeQuotas, FakeUsage

LETTERS = "abc"


@dataclass
class FakeAccount:
    """An account that answers what it is told to; `failing` maps a method to its error."""

    region: str = "us-west-2"
    account_id: str = "111122223333"
    clusters: dict[str, Cluster] = field(default_factory=dict)
    the_parts: tuple[Part, ...] = ()
    left: tuple[Owned, ...] = ()
    launched: tuple[str, ...] = ()
    failing: dict[str, JarkkitError] = field(default_factory=dict)
    skew: float | None = 0.0
    leftovers: FakeLeftovers = field(default_factory=FakeLeftovers)
    identity: FakeIdentity = field(default_factory=FakeIdentity)
    health: FakeHealth = field(default_factory=FakeHealth)
    pricing: FakePricing = field(default_factory=FakePricing)
    quotas: FakeQuotas = field(default_factory=FakeQuotas)
    usage: FakeUsage = field(default_factory=FakeUsage)
    instance_types: FakeInstanceTypes = field(default_factory=FakeInstanceTypes)
    offers: FakeOffers = field(default_factory=FakeOffers)
    forgotten: int = 0

    def in_region(self, region: str) -> FakeAccount:
        offers = replace(self.offers, region=region)
        return replace(self, region=region, offers=offers)

    def forget(self) -> None:
        self.forgotten += 1

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

    def cluster(self, name: str) -> Cluster | None:
        return self.clusters.get(name)

    def cluster_tags(self, name: str) -> dict[str, str]:
        return {"jarkkit:deployment": name} if name in self.clusters else {}

    def launched_by_karpenter(self, deployment: str) -> tuple[str, ...]:
        return self.launched

    def end_instances(self, ids: list[str]) -> None:
        self.launched = ()

    def parts(self, cluster: str) -> tuple[Part, ...]:
        return self.the_parts

    def owned(self, deployment: str) -> tuple[tuple[Owned, ...], tuple[str, ...], tuple[str, ...]]:
        return self.left, ("eks clusters", "ec2 instances"), ()


@dataclass
class FakeTerraform:
    """A Terraform whose state is a list of addresses; `failing` holds errors to raise, in turn."""

    folder: Path
    wanted: tuple[str, ...] = ("aws_vpc.demo", "aws_eks_cluster.demo")
    # What a plan of some addresses alone makes beside them, because they need it.
    needed: tuple[str, ...] = ()
    state: list[str] = field(default_factory=list)
    tainted: dict[str, str] = field(default_factory=dict)
    failing: list[tuple[str, BaseException]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    running: bool = False
    last: str = ""
    environ: dict[str, str] = field(default_factory=dict)
    tool: Tool = field(default_factory=lambda: Tool(path="/bin/terraform", version="1.11.4"))

    @property
    def initialised(self) -> bool:
        return (self.folder / ".terraform").is_dir()

    def init(self, step: Step) -> Iterator[Event]:
        self.calls.append("init")
        (self.folder / ".terraform").mkdir(exist_ok=True)
        return iter(())

    def plan(
        self, step: Step, file: str, *, destroy: bool = False, only: Sequence[str] = ()
    ) -> Iterator[Event]:
        self.calls.append(" ".join(["plan", file, *only]))
        self.last = file
        self._maybe_fail("plan")
        imports = self.folder / "adopt.tf.json"
        todo = {
            "delete": list(self.state) if destroy else [],
            "create": [] if destroy else [a for a in self._asked_for(only) if a not in self.state],
            "import": json.loads(imports.read_text())["import"] if imports.exists() else [],
        }
        (self.folder / file).write_text(json.dumps(todo))
        return iter(())

    def _asked_for(self, only: Sequence[str]) -> Sequence[str]:
        return (*only, *self.needed) if only else self.wanted

    def planned(self) -> tuple[ResourceChange, ...]:
        return changes_of(self.show(self.last))

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
        return {"resource_changes": changes}

    def apply(self, step: Step, file: str) -> Iterator[Event]:
        self.calls.append(f"apply {file}")
        todo = json.loads((self.folder / file).read_text())
        for address in todo["create"]:
            self._maybe_fail(address)
            self.state.append(address)
            yield self._done(step, address)
        for address in todo["delete"]:
            self._maybe_fail(address)
            self.state.remove(address)
            yield self._done(step, address)

    def outputs(self) -> dict[str, Any]:
        return {
            "account_id": "111122223333",
            "cluster_name": "demo",
            "cluster_arn": "arn",
            "cluster_endpoint": "https://x",
            "cluster_certificate_authority": "Q0E=",
            "vpc_id": "vpc-1",
            "availability_zones": ["us-west-2a", "us-west-2b"],
            "karpenter": {"queue_name": "q"},
            "efs": {"file_system_id": "fs-1"},
        }

    def untaint(self, address: str) -> None:
        self.calls.append(f"untaint {address}")
        del self.tainted[address]

    def attach(self, step: Step) -> Iterator[Event]:
        self.calls.append("attach")
        self.running = False
        return iter(())

    def _maybe_fail(self, moment: str) -> None:
        if self.failing and self.failing[0][0] == moment:
            raise self.failing.pop(0)[1]

    def _done(self, step: Step, address: str) -> Event:
        return Event(time=now(), step=step, kind="resource", subject=address, status="done")
