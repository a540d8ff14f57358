"""What was asked and what was answered, and how it is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jarkkit.checks import Check
from jarkkit.cluster import checks as judge
from jarkkit.diagnosis import account, nodes, pods, workloads
from jarkkit.diagnosis.findings import Finding, Rank, cut
from jarkkit.errors import JarkkitError
from jarkkit.records import ClusterState
from jarkkit.settings import Settings

API = "Kubernetes API"


@dataclass(frozen=True)
class Question:
    """One thing to ask.

    Attributes:
        ask: calls, and gives what it was told.
        ranks: of the findings that can come of it.
        of_cluster: it goes to the cluster's API.
    """

    ask: Callable[[], Any]
    ranks: tuple[Rank, ...]
    of_cluster: bool = False


Questions = dict[str, Question]
Answers = Mapping[str, Any]


@dataclass(frozen=True)
class Seen:
    """The answers by the questions' names; an error where there was none.

    Args:
        settings: None where nothing could be asked.
    """

    name: str
    now: datetime
    questions: Mapping[str, Question]
    answers: Answers
    settings: Settings | None = None

    def get(self, name: str, default: Any = ()) -> Any:
        """The answer; the default where it was not asked or not answered."""
        answer = self.answers.get(name, default)
        return default if isinstance(answer, JarkkitError) else answer

    # -- what is wrong -------------------------------------------------------------------------

    def findings(self) -> tuple[Finding, ...]:
        """Everything that is not as it should be."""
        if self.settings is None:
            return ()
        return (*self._of_account(), *self._of_nodes(), *self._of_workloads(self.settings))

    def _of_account(self) -> Iterator[Finding]:
        plane = self.get("Control plane", None)
        if self._answered("Control plane") and "Leftovers" not in self.questions:
            yield from account.control_plane_findings(self.name, plane)
        yield from account.part_findings(self.get("Node groups and EKS add-ons"))
        yield from account.gateway_findings(self.get("NAT gateways"))
        yield from account.instance_findings(self.get("Instances"), self._joined(), self.now)
        yield from account.left_findings(self.name, *self.get("Leftovers", ((), ())))
        if isinstance(error := self.answers.get(API), JarkkitError):
            yield from account.api_findings(error, plane)

    def _joined(self) -> frozenset[str] | None:
        if not self._answered("Nodes"):
            return None
        return frozenset(map(nodes.instance_of, self.get("Nodes")))

    def _names(self) -> frozenset[str]:
        return frozenset(node["metadata"]["name"] for node in self.get("Nodes"))

    def _of_nodes(self) -> Iterator[Finding]:
        yield from nodes.node_findings(self.get("Nodes"), self._pods.placed, self.now)
        claims, pools, classes = self.get("Karpenter", ((), (), ()))
        yield from nodes.claim_findings(claims, self.now)
        if self.settings and self._answered("Karpenter"):
            yield from nodes.pool_findings(judge.judge_pools(self.settings, pools, classes))
        groups, events, _ = self._pods
        lacking = {group.wrong.code for group in groups if group.wrong}
        yield from nodes.supply_findings(events, claims, lacking, self.now)
        yield from nodes.reclaim_findings(events, self._names(), self.now)

    def _of_workloads(self, settings: Settings) -> Iterator[Finding]:
        groups, events, _ = self._pods
        expected = judge.expected(settings)
        owners = {
            pods.Owner(addon.namespace, workload.kind, workload.name): addon
            for addon, workload in expected
        }
        names, known = self._names(), self._joined() is not None
        yield from pods.pod_findings(
            groups, owners, events, lambda n: known and n not in names and n != "", self.now
        )
        yield from workloads.refused_findings(events, self.now)
        claims, classes = self.get("Volume claims", ((), ()))
        yield from workloads.claim_findings(claims, classes, events)
        configurations, slices = self.get("Webhooks", ((), ()))
        yield from workloads.webhook_findings(configurations, slices, groups)
        yield from workloads.release_findings(self.get("Helm releases"))
        there, state = self.get("Add-ons", ({}, ClusterState()))
        if self._answered("Add-ons"):
            yield from workloads.addon_findings(expected, there, state)

    @property
    def _pods(self) -> pods.PodsSeen:
        found: pods.PodsSeen = self.get("Pods", pods.PodsSeen())
        return found

    # -- what else is to be said ---------------------------------------------------------------

    def unknown(self) -> Iterator[Check]:
        """What was asked in vain. Where the API does not answer at all, that is told once."""
        silent = self._failed(API)
        for name, answer in self.answers.items():
            if not isinstance(answer, JarkkitError):
                continue
            told = answer.code != "JK-KUBE-DENIED" if name == API else self._of_cluster(name)
            if silent and told:
                continue
            yield Check(
                name=name,
                status="unknown",
                found=cut(answer.message),
                why=cut(answer.evidence, 200),
                fix=answer.fix,
                code=answer.code,
            )

    def well(self, findings: Sequence[Finding]) -> Iterator[Check]:
        """What was looked at, and nothing was found."""
        ranks = {finding.rank for finding in findings}
        for name, question in self.questions.items():
            if not self._failed(name) and not ranks & set(question.ranks):
                yield Check(name=name, status="pass", found=self._counted(name))

    def skipped(self, closed: JarkkitError | None) -> Iterator[Check]:
        """What there was no reason, or no way, to ask."""
        if closed is not None:
            yield Check(name="Account and cluster", status="skip", found="not asked")
            return
        if not self.questions:
            yield Check(name="Account and cluster", status="skip", found="nothing is deployed yet")
        elif not any(question.of_cluster for question in self.questions.values()):
            yield Check(name="Cluster", status="skip", found="there is none that could be asked")

    def warnings(self, findings: Sequence[Finding]) -> str:
        """Kubernetes' warnings that no finding is about."""
        groups, events, _ = self._pods
        return workloads.summary(events, findings, groups, self.now)

    def _counted(self, name: str) -> str:
        answer = self.get(name)
        flat = isinstance(answer, tuple) and not any(isinstance(a, tuple | dict) for a in answer)
        return f"{len(answer)} looked at" if flat and answer else ""

    def _answered(self, name: str) -> bool:
        return name in self.answers and not self._failed(name)

    def _failed(self, name: str) -> bool:
        return isinstance(self.answers.get(name), JarkkitError)

    def _of_cluster(self, name: str) -> bool:
        return self.questions[name].of_cluster
