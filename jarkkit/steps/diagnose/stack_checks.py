"""Verify's checks in a diagnosis, on what its queries have already read."""

from __future__ import annotations

from functools import partial

from jarkkit.decisions.cluster.pod_status import PodFailure
from jarkkit.decisions.cluster.readiness import WorkloadKey
from jarkkit.decisions.diagnosis.pods import PodObservations
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.checks import Check
from jarkkit.model.records import DeployResult
from jarkkit.model.unknown import Unknown, known_or_raise
from jarkkit.ports.workspace import Workspace
from jarkkit.steps.diagnose.observations import (
    COMPONENTS,
    CONTROL_PLANE,
    KUBERNETES_API,
    PODS,
    Answers,
)
from jarkkit.steps.diagnose.shared_calls import SharedLists
from jarkkit.steps.stack_checks.account import AccountCheckContext, check_account
from jarkkit.steps.stack_checks.cluster import (
    CUSTOM_CHECKS_FOLDER,
    ClusterCheckContext,
    check_cluster_objects,
)


def run(
    workspace: Workspace,
    stack: ResolvedStack,
    deployed: DeployResult,
    lists: SharedLists | None,
    answers: Answers,
) -> tuple[Check, ...]:
    """Ask verify's checks, except the one that creates a volume.

    Args:
        lists: None in a sandbox without clusters.
        answers: of the queries.
    """
    checks: tuple[Check, ...] = ()
    if CONTROL_PLANE in answers:
        checks = check_account(
            AccountCheckContext(
                stack,
                deployed,
                cluster=answers[CONTROL_PLANE],
                get_components=partial(known_or_raise, answers[COMPONENTS]),
            )
        )
    # An API that does not answer is a finding, or not checked, itself.
    if lists is None or isinstance(answers[KUBERNETES_API], Unknown):
        return checks
    context = ClusterCheckContext(
        kube=lists.kube,
        stack=stack,
        custom_checks=workspace.folder / CUSTOM_CHECKS_FOLDER,
        rehearsal=workspace.rehearsal,
        listed=lists.list,
        pod_failures=_pod_failures(answers[PODS]),
    )
    return (*checks, *check_cluster_objects(context))


def _pod_failures(pods: PodObservations | Unknown) -> dict[WorkloadKey, PodFailure | None]:
    """Return why the observed pods of workloads are not ready."""
    return {
        (group.owner.kind, group.owner.namespace, group.owner.name): group.wrong
        for group in (() if isinstance(pods, Unknown) else pods.groups)
    }
