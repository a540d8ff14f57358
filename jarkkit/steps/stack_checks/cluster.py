"""Checks of the cluster layer: nodes, workloads, storage, Karpenter, permissions, web UIs, and the
checks that are written as data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from jarkkit.decisions.cluster import custom_checks
from jarkkit.decisions.cluster import health_checks as judge
from jarkkit.decisions.cluster.pod_status import PodFailure
from jarkkit.decisions.cluster.readiness import (
    ReplicaStatus,
    WorkloadKey,
    all_replica_statuses,
    has_all_replicas,
    workload_key,
)
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.checks import Check
from jarkkit.model.errors import AccessDenied, ApiCallError, JarkkitError
from jarkkit.ports.kube import Kube, Object
from jarkkit.steps.check_engine import CheckFunction, CheckGroup, run_checks
from jarkkit.steps.cluster import web_uis
from jarkkit.steps.cluster.pod_diagnosis import diagnose_pods
from jarkkit.steps.cluster.volume_probe import probe_volume

# Concurrent checks; most of the time is waiting for answers.
_AT_ONCE = 8
_CUSTOM = "Custom checks"
CUSTOM_CHECKS_FOLDER = "checks"
ListObjects = Callable[[str, str], Iterable[Object]]


@dataclass(frozen=True)
class ClusterCheckContext:
    """What the cluster layer's checks need.

    Args:
        custom_checks: the folder with your custom checks; need not exist.
        deep: also create a volume.
        listed: returns all objects of a kind, if the caller lists them, too; else the API does.
        pod_failures: why the pods of workloads are not ready, of those that the caller knows; None
            for pods that may just need more time. The check lists the pods of the others.
    """

    kube: Kube
    stack: ResolvedStack
    custom_checks: Path
    rehearsal: bool = False
    deep: bool = False
    listed: ListObjects | None = None
    pod_failures: Mapping[WorkloadKey, PodFailure | None] = field(default_factory=dict)

    def list_all(self, api_version: str, kind: str) -> Iterable[Object]:
        """Return all objects of a kind that the cluster serves."""
        return (self.listed or self.kube.list)(api_version, kind)


API = CheckGroup[ClusterCheckContext]("Cluster")
# Each is a topic of its own.
CHECKS = CheckGroup[ClusterCheckContext]()
DEEP = CheckGroup[ClusterCheckContext]("Storage")


def check_cluster_layer(context: ClusterCheckContext) -> tuple[Check, ...]:
    """Check every part of the cluster layer, in the order in which you would.

    A check that lacks a permission is unknown. One that gets no answer for another reason fails:
    whether the cluster answers is what it asks. If the API does not answer, or does not admit you
    at all, that check fails, and the rest is skipped: nothing of the cluster is verified.
    """
    answers = _run(API, context, AccessDenied)
    if any(check.status != "pass" for check in answers):
        return tuple(check.model_copy(update={"status": "fail"}) for check in answers)
    checks = (*answers, *check_cluster_objects(context, unanswered=AccessDenied))
    # Last: its claim starts unbound, which another check would report as a failure.
    return (*checks, *_run(DEEP, context, AccessDenied)) if context.deep else checks


def check_cluster_objects(
    context: ClusterCheckContext, *, unanswered: type[JarkkitError] = ApiCallError
) -> tuple[Check, ...]:
    """Check everything of the cluster layer that only reads, once its API answers.

    Args:
        unanswered: as for `run_checks`.
    """
    checks = (*CHECKS, *web_ui_checks(context), *custom_check_functions(context))
    return _run(checks, context, unanswered)


def _run(
    checks: Iterable[CheckFunction[ClusterCheckContext]],
    context: ClusterCheckContext,
    unanswered: type[JarkkitError],
) -> tuple[Check, ...]:
    return run_checks(checks, context, unanswered=unanswered, at_once=_AT_ONCE)


@API.check("Kubernetes API")
def api(context: ClusterCheckContext) -> Iterator[Check]:
    """Check that the API answers."""
    version = context.kube.version()
    expected = context.stack.settings.cluster_version
    same = judge.minor_version(version) == expected
    yield Check(
        name="Kubernetes API",
        status="pass",
        found=f"answers, {version}",
        needed="an answer",
        why=""
        if same
        else f"The sandbox has one Kubernetes version for all clusters; you chose {expected}.",
    )


@CHECKS.check("Nodes")
def nodes(context: ClusterCheckContext) -> Sequence[Check]:
    """Check each group's nodes."""
    now = datetime.now(UTC)
    return judge.check_nodes(
        context.stack.settings,
        (judge.node_status(node, now) for node in context.list_all("v1", "Node")),
    )


@CHECKS.check("Workloads")
def workloads(context: ClusterCheckContext) -> Sequence[Check]:
    """Check all workloads of the enabled add-ons."""
    existing = all_replica_statuses(lambda kind: context.list_all("apps/v1", kind))
    failures = {**_failures(context, existing), **context.pod_failures}
    return judge.check_workloads(context.stack, existing, failures)


def _failures(
    context: ClusterCheckContext, existing: Mapping[WorkloadKey, ReplicaStatus]
) -> dict[WorkloadKey, PodFailure]:
    """Find out why workloads are not ready of which the caller does not know it.

    List only their pods.
    """
    found: dict[WorkloadKey, PodFailure] = {}
    for addon, workload in context.stack.workloads:
        at = workload_key(addon, workload)
        if at in context.pod_failures or at not in existing:
            continue
        if has_all_replicas(workload, existing[at]):
            continue
        owner = context.kube.get("apps/v1", workload.kind, workload.name, addon.namespace)
        failure = diagnose_pods(context.kube, owner) if owner else None
        if failure is not None:
            found[at] = failure
    return found


@CHECKS.check("Storage")
def storage(context: ClusterCheckContext) -> Sequence[Check]:
    """Check the default storage class."""
    classes = tuple(context.list_all("storage.k8s.io/v1", "StorageClass"))
    return judge.check_default_storage_class(context.stack, classes)


@DEEP.check("Test volume")
def volume(context: ClusterCheckContext) -> Iterator[Check]:
    """Create a claim of the default storage class, where there is one."""
    if all(check.status == "pass" for check in storage(context)):
        yield probe_volume(context.kube)


@CHECKS.check("Karpenter")
def karpenter(context: ClusterCheckContext) -> Sequence[Check]:
    """Check Karpenter's node pools and node classes."""
    if not context.stack.settings.karpenter:
        return (Check(name="Karpenter's pools", status="skip", found="Karpenter is off"),)
    pools, classes = (
        tuple(context.list_all(api, kind)) if context.kube.serves_kind(api, kind) else ()
        for api, kind in (("karpenter.sh/v1", "NodePool"), ("karpenter.k8s.aws/v1", "EC2NodeClass"))
    )
    return judge.check_node_pools(context.stack, pools, classes)


@CHECKS.check("AWS permissions")
def identities(context: ClusterCheckContext) -> Iterator[Check]:
    """Check that pods have the credentials of their role."""
    for name, identity in context.stack.pod_identities.items():
        namespace, account = identity["namespace"], identity["service_account"]
        exists = context.kube.get("v1", "ServiceAccount", account, namespace)
        selector = f"spec.serviceAccountName={account}"
        pods = tuple(context.kube.list("v1", "Pod", namespace, fields=selector)) if exists else None
        yield judge.check_pod_identity(name, namespace, account, pods, rehearsal=context.rehearsal)


def web_ui_checks(context: ClusterCheckContext) -> Iterator[CheckFunction[ClusterCheckContext]]:
    """Yield a check per web UI."""
    for endpoint in web_uis.endpoints(context.stack):
        yield CheckFunction(
            f"Web UI of {endpoint.title}",
            partial(_web_ui, endpoint),
            "Web UIs",
            about=(f"addon:{endpoint.addon}",),
        )


def _web_ui(endpoint: web_uis.WebEndpoint, context: ClusterCheckContext) -> Check:
    answer = web_uis.get_endpoint(context.kube, endpoint)
    works = answer.status < 500
    simulated = " from the sandbox: no program runs behind it" if answer.simulated else ""
    return Check(
        name="",
        status="pass" if works else "fail",
        found=f"answers {answer.status}{simulated}",
        needed="an answer",
        why=f"jarkkit use open {endpoint.name}",
        fix="" if works else f"Check its pods: kubectl -n {endpoint.namespace} get pods",
        code="" if works else "JK-VERIFY-FAILED",
    )


def custom_check_functions(
    context: ClusterCheckContext,
) -> Iterator[CheckFunction[ClusterCheckContext]]:
    """Yield the checks that are written as data: jarkkit's, and those of the deployment."""
    own, invalid = custom_checks.user_checks(context.custom_checks)
    yield CheckFunction("Files of checks", lambda _: invalid, _CUSTOM)
    for check in (*custom_checks.built_in_checks(), *own):
        if context.stack.matches(check.when):
            yield CheckFunction(check.title, partial(_custom_check, check), _CUSTOM, check.severity)


def _custom_check(check: custom_checks.CustomCheck, context: ClusterCheckContext) -> Check:
    of = check.object
    objects: Iterator[Object] = iter(())
    if of.name:
        one = context.kube.get(of.api_version, of.kind, of.name, of.namespace)
        objects = iter((one,) if one else ())
    elif context.kube.serves_kind(of.api_version, of.kind):
        objects = (
            context.kube.list(of.api_version, of.kind, of.namespace, labels=of.labels)
            if of.namespace or of.labels or of.kind == "Pod"  # too many to keep
            else iter(context.list_all(of.api_version, of.kind))
        )
    return custom_checks.evaluate(check, objects)
