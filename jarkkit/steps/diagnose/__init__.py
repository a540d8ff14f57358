"""Diagnose what is broken: check everything in parallel, change nothing, work at any time.

It asks verify's checks, too, and reuses the lists. What fails in them is a finding, unless another
finding explains it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from jarkkit.decisions.diagnosis import step_history
from jarkkit.decisions.diagnosis.findings import Finding, Rank, group_by_cause, to_check
from jarkkit.model.checks import Check, Report
from jarkkit.model.errors import ApiCallError, CredentialsError, JarkkitError, Unreachable
from jarkkit.model.records import (
    DeploymentStatus,
    DeployResult,
    EksCluster,
    LedgerEntry,
    Receipt,
)
from jarkkit.ports.aws.concurrency import gather
from jarkkit.ports.workspace import Workspace
from jarkkit.steps.aws_layer import AwsLayer
from jarkkit.steps.cluster.cluster_layer import Connect
from jarkkit.steps.diagnose import account, cluster, stack_checks
from jarkkit.steps.diagnose.observations import Observations, Queries
from jarkkit.steps.diagnose.shared_calls import SharedCalls, SharedLists

_logger = logging.getLogger(__name__)

TITLE = "Is everything healthy?"


@dataclass(frozen=True)
class DiagnosisContext:
    """What a diagnosis needs. Creating one reads nothing; each of the callables may raise.

    Args:
        get_layer: returns the AWS layer, if calls to the account are possible.
        connect: returns how to reach the cluster's API; None in a sandbox without clusters.
        get_status: returns the deployment's status.
    """

    workspace: Workspace
    get_layer: Callable[[], AwsLayer]
    connect: Callable[[], Connect | None]
    get_status: Callable[[], DeploymentStatus]
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))


def diagnose(context: DiagnosisContext) -> Report:
    """Report what is wrong, causes before symptoms; then what is unknown and what is healthy.

    Raises nothing that a user can cause: an error that prevents checks is itself a finding.
    """
    recorded = _folder_findings(context)
    observations, error = _observe(context)
    findings = [*recorded, *observations.findings()]
    if error is not None:
        findings.append(step_history.access_finding(error))
    where = _where(context)
    running = where is not None and where.running
    if running:
        findings = [replace(f, grave=f.grave and f.rank <= Rank.ACCESS) for f in findings]
    causes = group_by_cause(findings)
    checks = (
        *map(to_check, causes),
        *observations.unknown_checks(),
        *_status(where),
        *observations.passed_checks(findings),
        *observations.skipped_checks(error),
    )
    return Report(
        title=TITLE, checks=checks, notes=tuple(_notes(checks, observations, findings, running))
    )


# -- the folder ------------------------------------------------------------------------------------


def _folder_findings(context: DiagnosisContext) -> list[Finding]:
    """Find what the deployment's folder records about the last run."""
    try:
        entries = context.workspace.ledger_entries()
        last = step_history.last_unfinished(entries)
        findings = [
            *step_history.receipt_finding(context.workspace.name, _receipt(context, entries))
        ]
        if last is not None and not context.workspace.is_locked:
            since = step_history.started_at(entries, last)
            findings += step_history.terraform_findings(context.workspace.diagnostics(since))
            findings.append(step_history.step_finding(context.workspace.name, last))
    except JarkkitError as error:
        return [step_history.access_finding(error)]
    return findings


def _receipt(context: DiagnosisContext, entries: Sequence[LedgerEntry]) -> Receipt | None:
    """Return the last cleanup's receipt, unless there was a deploy since."""
    changing = [e.step for e in entries if e.step in ("deploy", "cleanup")]
    last_is_cleanup = changing[-1:] == ["cleanup"]
    return context.workspace.load("receipt", Receipt) if last_is_cleanup else None


def _where(context: DiagnosisContext) -> DeploymentStatus | None:
    try:
        return context.get_status()
    except JarkkitError:
        return None  # the problem with the folder is already a finding


def _status(where: DeploymentStatus | None) -> Iterator[Check]:
    if where is not None:
        found = f"{where.state}. {where.summary} Next: {where.next_command}"
        yield Check(name="Deployment status", status="skip", found=found)


# -- account and cluster ---------------------------------------------------------------------------


def _observe(context: DiagnosisContext) -> tuple[Observations, JarkkitError | None]:
    """Run all queries, then verify's checks; the error is the one that prevents them."""
    nothing = Observations(context.workspace.name, context.now(), {}, {})
    try:
        layer = context.get_layer()
        deployed = context.workspace.load("deployed", DeployResult)
        steps = [entry.step for entry in context.workspace.ledger_entries()]
        cleaning = [step for step in steps if step in ("deploy", "cleanup")][-1:] == ["cleanup"]
        _check_access(layer)
        own_cluster = partial(SharedCalls().ask, "cluster", layer.own_cluster)
        connect = None if cleaning and _is_gone(own_cluster) else context.connect()
        cluster_layer = connect(deployed.outputs) if deployed and connect else None
    except JarkkitError as error:
        return nothing, error
    lists = SharedLists(cluster_layer.kube) if cluster_layer else None
    questions: Queries = {}
    if "deploy" in steps:
        questions |= account.queries(layer, deployed, own_cluster, cleaning=cleaning)
    if cluster_layer and lists:
        questions |= cluster.queries(cluster_layer, lists)
    answers = gather({name: query.fetch for name, query in questions.items()})
    checks: tuple[Check, ...] = ()
    if deployed and not cleaning:
        checks = stack_checks.run(context.workspace, layer.stack, deployed, lists, answers)
    return Observations(
        context.workspace.name, context.now(), questions, answers, layer.stack, checks
    ), None


def _check_access(layer: AwsLayer) -> None:
    """Raise the error after which no call to the account or its cluster can succeed."""
    try:
        layer.target()
    except (CredentialsError, Unreachable):
        raise
    except ApiCallError as error:
        _logger.info("continue without the target: %s", error)  # other calls may be allowed


def _is_gone(own_cluster: Callable[[], EksCluster | None]) -> bool:
    """Return True when an incomplete cleanup has already deleted the cluster."""
    try:
        return own_cluster() is None
    except JarkkitError:
        return False


def _notes(
    checks: Sequence[Check], observations: Observations, findings: Sequence[Finding], running: bool
) -> Iterator[str]:
    counts: Mapping[str, int] = {s: sum(c.status == s for c in checks) for s in ("fail", "unknown")}
    if running:
        yield "A step is running: what is not ready yet may just need more time."
    if not findings and counts["unknown"]:
        yield "jarkkit found no problem, but some checks got no answer, so there may be one."
    elif not findings and not observations.queries:
        yield "Nothing is deployed, so there was nothing to check."
    elif not findings:
        yield (
            "jarkkit found no problem in what it can check. It cannot check your own programs "
            "(read their logs), their data and their performance."
        )
    if warnings := observations.warnings(findings):
        yield warnings
