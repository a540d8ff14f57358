"""The queries of a diagnosis, their answers, and the findings that follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jarkkit.decisions.cluster.pod_status import PodOwner
from jarkkit.decisions.cluster.supply import ClusterSupply
from jarkkit.decisions.diagnosis import (
    account,
    addons_and_volumes,
    custom_resources,
    load_balancers,
    nodes,
    pods,
)
from jarkkit.decisions.diagnosis.failed_checks import check_findings
from jarkkit.decisions.diagnosis.findings import Finding, Rank, truncate
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.checks import Check
from jarkkit.model.errors import AccessDenied, JarkkitError
from jarkkit.model.records import ClusterState
from jarkkit.model.unknown import Unknown

# The names of queries whose answers verify's checks need, too. A query that fails is reported once
# if its check has the same name.
CONTROL_PLANE = "Cluster"
COMPONENTS = "Node groups and EKS add-ons"
KUBERNETES_API = "Kubernetes API"
PODS = "Pods"


@dataclass(frozen=True)
class DiagnosisQuery:
    """One query.

    Attributes:
        fetch: makes the calls and returns the answer.
        ranks: the ranks of the findings that can result.
        uses_cluster_api: it calls the cluster's API.
    """

    fetch: Callable[[], Any]
    ranks: tuple[Rank, ...]
    uses_cluster_api: bool = False


Queries = dict[str, DiagnosisQuery]
Answers = Mapping[str, Any]


@dataclass(frozen=True)
class Observations:
    """The answers by the queries' names; unknown where a query failed.

    Args:
        stack: None where no query was possible.
        checks: the results of verify's checks.
    """

    name: str
    now: datetime
    queries: Mapping[str, DiagnosisQuery]
    answers: Answers
    stack: ResolvedStack | None = None
    checks: Sequence[Check] = ()

    def get(self, name: str, default: Any = ()) -> Any:
        """Return the answer; the default where there is none."""
        answer = self.answers.get(name, default)
        return default if isinstance(answer, Unknown) else answer

    # -- what is wrong -------------------------------------------------------------------------

    def findings(self) -> tuple[Finding, ...]:
        """Return everything that is wrong."""
        if self.stack is None:
            return ()
        found = (*self._of_account(), *self._of_nodes(), *self._of_workloads(self.stack))
        reported = {finding.subject for finding in found}
        starting = {str(group.owner) for group in self._pods.groups} - reported
        return (*found, *check_findings(self.checks, found, starting))

    def _of_account(self) -> Iterator[Finding]:
        plane = self.get(CONTROL_PLANE, None)
        if plane is not None and "Leftovers" not in self.queries:
            yield from account.control_plane_findings(plane)
        yield from account.component_findings(self.get(COMPONENTS))
        yield from account.gateway_findings(self.get("NAT gateways"))
        yield from account.instance_findings(self.get("Instances"), self._joined(), self.now)
        yield from account.leftover_findings(self.name, *self.get("Leftovers", ((), ())))
        if isinstance(answer := self.answers.get(KUBERNETES_API), Unknown):
            yield from account.api_findings(answer.reason, plane)

    def _joined(self) -> frozenset[str] | None:
        if not self._answered("Nodes"):
            return None
        return frozenset(map(nodes.instance_id_of, self.get("Nodes")))

    def _names(self) -> frozenset[str]:
        return frozenset(node["metadata"]["name"] for node in self.get("Nodes"))

    def _of_nodes(self) -> Iterator[Finding]:
        yield from nodes.node_findings(self.get("Nodes"), self._pods.placed, self.now)
        claims, pools, classes = self.get("Karpenter", ((), (), ()))
        yield from nodes.claim_findings(claims, self.now)
        if self.stack and self._answered("Karpenter"):
            yield from nodes.foreign_pool_findings(pools, classes, _own_pools(self.stack))
        if self.stack and self._answered("Nodes"):
            supply = ClusterSupply(self.get("Nodes"), pools, {}, self.now)
            yield from nodes.accelerator_findings(supply, _device_plugins(self.stack))
        groups, events, _ = self._pods
        lacking = {group.wrong.code for group in groups if group.wrong}
        yield from nodes.supply_findings(events, claims, lacking, self.now)
        yield from nodes.reclaim_findings(events, self._names(), self.now)

    def _of_workloads(self, stack: ResolvedStack) -> Iterator[Finding]:
        groups, events, _ = self._pods
        owners = {
            PodOwner(addon.namespace, workload.kind, workload.name): addon
            for addon, workload in stack.workloads
        }
        names, known = self._names(), self._joined() is not None
        yield from pods.pod_findings(
            groups, owners, events, lambda n: known and n not in names and n != "", self.now
        )
        yield from addons_and_volumes.refused_findings(events, owners, self.now)
        claims, classes = self.get("Volume claims", ((), ()))
        yield from addons_and_volumes.claim_findings(claims, classes, events)
        configurations, slices = self.get("Webhooks", ((), ()))
        yield from addons_and_volumes.webhook_findings(configurations, slices, groups)
        yield from addons_and_volumes.release_findings(self.get("Helm releases"))
        resources = self.get("Workloads")
        yield from custom_resources.workload_findings(resources, events, self.now)
        _, pools, _ = self.get("Karpenter", ((), (), ()))
        yield from custom_resources.disruption_findings(resources, pools)
        services, ingresses = self.get("Load balancers", ((), ()))
        yield from load_balancers.pending_findings(services, ingresses, events, self.now)
        there, state = self.get("Add-ons", ({}, ClusterState()))
        if self._answered("Add-ons"):
            yield from addons_and_volumes.addon_findings(stack.workloads, there, state)

    @property
    def _pods(self) -> pods.PodObservations:
        found: pods.PodObservations = self.get(PODS, pods.PodObservations())
        return found

    # -- the rest of the report ---------------------------------------------------------------

    def unknown_checks(self) -> Iterator[Check]:
        """Yield the queries and checks without an answer; report a silent API only once."""
        queries = tuple(self._unanswered_queries())
        yield from queries
        same = {(query.name, query.found) for query in queries}
        for check in self.checks:
            found = truncate(check.found)
            if check.status == "unknown" and (check.name, found) not in same:
                brief = {"found": found, "why": truncate(check.why, 200)}
                yield check.model_copy(update={**brief, "group": "", "seconds": None})

    def _unanswered_queries(self) -> Iterator[Check]:
        silent = self._failed(KUBERNETES_API)
        for name, answer in self.answers.items():
            if not isinstance(answer, Unknown):
                continue
            error = answer.reason
            redundant = (
                not isinstance(error, AccessDenied)
                if name == KUBERNETES_API
                else self._of_cluster(name)
            )
            if silent and redundant:
                continue
            yield Check(
                name=name,
                status="unknown",
                found=truncate(error.message),
                why=truncate(error.evidence, 200),
                fix=error.fix,
                code=error.code,
            )

    def passed_checks(self, findings: Sequence[Finding]) -> Iterator[Check]:
        """Yield the queries that led to no finding, and the number of checks that passed."""
        ranks = {finding.rank for finding in findings}
        for name, query in self.queries.items():
            if not self._failed(name) and not ranks & set(query.ranks):
                yield Check(name=name, status="pass", found=self._counted(name))
        if passed := sum(check.status == "pass" for check in self.checks):
            yield Check(name="Checks of jarkkit verify", status="pass", found=f"{passed} passed")

    def skipped_checks(self, error: JarkkitError | None) -> Iterator[Check]:
        """Yield what was not necessary, or not possible, to query.

        Args:
            error: what prevented all queries.
        """
        if error is not None:
            yield Check(name="Account and cluster", status="skip", found="not checked")
            return
        if not self.queries:
            yield Check(name="Account and cluster", status="skip", found="nothing is deployed yet")
        elif not any(query.uses_cluster_api for query in self.queries.values()):
            yield Check(name=KUBERNETES_API, status="skip", found="there is no reachable cluster")

    def warnings(self, findings: Sequence[Finding]) -> str:
        """Summarize the Kubernetes warnings that no finding covers."""
        groups, events, _ = self._pods
        return addons_and_volumes.unrelated_warnings(events, findings, groups, self.now)

    def _counted(self, name: str) -> str:
        answer = self.get(name)
        flat = isinstance(answer, tuple) and not any(isinstance(a, tuple | dict) for a in answer)
        return f"{len(answer)} checked" if flat and answer else ""

    def _answered(self, name: str) -> bool:
        return name in self.answers and not self._failed(name)

    def _failed(self, name: str) -> bool:
        return isinstance(self.answers.get(name), Unknown)

    def _of_cluster(self, name: str) -> bool:
        return self.queries[name].uses_cluster_api


def _own_pools(stack: ResolvedStack) -> frozenset[str]:
    """Return the names of jarkkit's node pools and node classes."""
    pools = stack.node_pools
    classes = {p["spec"]["template"]["spec"]["nodeClassRef"]["name"] for p in pools}
    return frozenset({pool["metadata"]["name"] for pool in pools} | classes)


def _device_plugins(stack: ResolvedStack) -> list[str]:
    """Return the enabled add-ons that announce accelerators."""
    plugins = ("nvidia-device-plugin", "gpu-operator", "neuron")
    return [name for name in plugins if name in stack.addon_names]
