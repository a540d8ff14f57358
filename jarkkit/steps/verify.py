"""Verify the deployment against the account and the cluster, not against the state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from jarkkit.decisions.cluster import custom_checks
from jarkkit.decisions.cluster import health_checks as judge
from jarkkit.decisions.cluster.pod_failures import PodFailure
from jarkkit.decisions.cluster.readiness import (
    ReplicaStatus,
    WorkloadKey,
    all_replica_statuses,
    has_all_replicas,
    workload_key,
)
from jarkkit.decisions.cluster_versions import drift_error, minor
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.checks import Check, Report, with_group
from jarkkit.model.errors import AccessDenied, JarkkitError
from jarkkit.model.records import ClusterComponent, ClusterState, DeployResult, EksCluster
from jarkkit.ports.kube import Kube, Object
from jarkkit.settings import Settings
from jarkkit.steps.aws_layer import AwsLayer
from jarkkit.steps.cluster import web_uis
from jarkkit.steps.cluster.cluster_layer import Connect
from jarkkit.steps.cluster.pod_diagnosis import diagnose_pods
from jarkkit.steps.cluster.volume_probe import probe_volume

# Concurrent checks; most of the time is waiting for answers.
_CONCURRENCY = 4
CUSTOM_CHECKS_FOLDER = "checks"


def verify(layer: AwsLayer, connect: Connect | None = None, *, deep: bool = False) -> Report:
    """Check every part of both layers. Raises JK-PLAN-MISSING before a deploy.

    Args:
        connect: None in a sandbox without clusters, which skips the cluster layer.
        deep: also create a volume and a pod that uses it, then delete both.
    """
    deployed = layer.workspace.load("deployed", DeployResult)
    if deployed is None:
        raise JarkkitError(
            "JK-PLAN-MISSING", "Nothing is deployed yet.", "Deploy first: jarkkit deploy"
        )
    layer.target()
    cluster = layer.own_cluster()
    parts = layer.account.cluster_components(layer.settings.name) if cluster else ()
    checks = (
        *with_group("Cluster", judge_cluster(layer.settings, cluster)),
        *with_group("Node groups and EKS add-ons", judge_components(layer.stack, parts)),
        *with_group("Other AWS resources", judge_outputs(layer.settings, deployed)),
    )
    notes: tuple[str, ...] = ()
    if connect is not None and cluster is not None:
        context = VerifyContext(
            kube=connect(deployed.outputs).kube,
            stack=layer.stack,
            custom_checks=layer.workspace.folder / CUSTOM_CHECKS_FOLDER,
            rehearsal=layer.workspace.rehearsal,
            deep=deep,
        )
        checks = (*checks, *check_cluster_layer(context))
        notes = _notes(context, layer.workspace.load("cluster", ClusterState) or ClusterState())
    return Report(title="Does it work?", checks=checks, notes=notes)


def judge_cluster(settings: Settings, cluster: EksCluster | None) -> tuple[Check, ...]:
    """Check the control plane: exists, is active, has the right version and an endpoint."""
    if cluster is None:
        return (
            Check(
                name="Cluster",
                status="fail",
                found="none of this name",
                needed=settings.name,
                fix="Deploy again: jarkkit plan, then jarkkit deploy",
                code="JK-VERIFY-FAILED",
            ),
        )
    return (
        _equal("Cluster", cluster.status, "ACTIVE"),
        _judge_version(settings, cluster),
        Check(
            name="API endpoint",
            status="pass" if cluster.endpoint else "fail",
            found="available" if cluster.endpoint else "none",
            code="" if cluster.endpoint else "JK-VERIFY-FAILED",
        ),
    )


def _judge_version(settings: Settings, cluster: EksCluster) -> Check:
    check = _equal("Kubernetes version", cluster.version, settings.cluster_version)
    if minor(cluster.version) <= minor(settings.cluster_version):
        return check
    drift = drift_error(settings.cluster_version, cluster.version)
    return check.model_copy(update={"why": drift.message, "fix": drift.fix, "code": drift.code})


def judge_components(
    stack: ResolvedStack, parts: tuple[ClusterComponent, ...]
) -> tuple[Check, ...]:
    """Check the node groups and EKS add-ons: every one of the stack exists and is active."""
    by_name = {(part.kind, part.name): part for part in parts}
    groups = [part for part in parts if part.kind == "node group"]
    expected_groups = 2 if stack.settings.static_gpu_nodes else 1
    checks = [
        Check(
            name="Node groups",
            status="pass" if len(groups) >= expected_groups else "fail",
            found=str(len(groups)),
            needed=str(expected_groups),
            code="" if len(groups) >= expected_groups else "JK-VERIFY-FAILED",
            fix=""
            if len(groups) >= expected_groups
            else "Deploy again: jarkkit plan, then jarkkit deploy",
        ),
        *(_judge_group(stack.settings, group) for group in groups),
    ]
    checks += [
        _judge_part(f"Add-on {name}", by_name.get(("add-on", name))) for name in stack.eks_addons
    ]
    return tuple(checks)


def _judge_group(settings: Settings, group: ClusterComponent) -> Check:
    """Check a node group: active, and of the cluster's version."""
    check = _judge_part(f"Node group {group.name}", group)
    if check.status != "pass" or group.version in ("", settings.cluster_version):
        return check
    return check.model_copy(
        update={
            "status": "warn",
            "needed": settings.cluster_version,
            "why": "EKS takes a cluster's next version only when its node groups have this one.",
            "fix": "The node groups follow with the next deploy: jarkkit plan, then jarkkit deploy",
        }
    )


def _judge_part(name: str, part: ClusterComponent | None) -> Check:
    if part is None:
        return Check(
            name=name,
            status="fail",
            found="not installed",
            needed="ACTIVE",
            fix="Deploy again: jarkkit plan, then jarkkit deploy",
            code="JK-VERIFY-FAILED",
        )
    check = _equal(name, part.status, "ACTIVE")
    version = f"{part.status} {part.version}".strip()
    return check.model_copy(update={"found": version, "why": "; ".join(part.issues)})


def judge_outputs(settings: Settings, deployed: DeployResult) -> tuple[Check, ...]:
    """Check that the outputs that later steps need exist."""
    outputs = deployed.outputs
    zones = outputs.get("availability_zones")
    count = len(zones) if isinstance(zones, list) else 0
    checks = [_equal("Availability Zones", str(count), str(settings.az_count))]
    for setting, name, title in (
        (settings.karpenter, "karpenter", "Karpenter's AWS resources"),
        (settings.shared_files, "efs", "Shared file system"),
        (settings.artifact_bucket, "artifact_bucket", "Artifact bucket"),
        (settings.managed_prometheus, "prometheus", "Managed Prometheus"),
    ):
        if setting:
            found = "exists" if outputs.get(name) else "missing"
            checks.append(_equal(title, found, "exists"))
    return tuple(checks)


def _equal(name: str, found: str, needed: str) -> Check:
    same = found == needed
    return Check(
        name=name,
        status="pass" if same else "fail",
        found=found,
        needed=needed,
        code="" if same else "JK-VERIFY-FAILED",
        fix="" if same else "Run `jarkkit plan` to see what differs, then `jarkkit deploy`.",
    )


# -- the cluster layer -----------------------------------------------------------------------------


@dataclass(frozen=True)
class VerifyContext:
    """What the cluster layer's checks need.

    Args:
        custom_checks: the folder with your custom checks; need not exist.
        deep: also create a volume.
    """

    kube: Kube
    stack: ResolvedStack
    custom_checks: Path
    rehearsal: bool = False
    deep: bool = False


VerifyFunction = Callable[[VerifyContext], Iterable[Check]]


def check_cluster_layer(context: VerifyContext) -> tuple[Check, ...]:
    """Check every part of the cluster layer, in the order in which you would.

    A check that lacks a permission is unknown; if the API does not answer, the rest is skipped.
    """
    api = _guarded("Kubernetes API", _api, context)
    if any(check.status != "pass" for check in api):
        return api
    parts: dict[str, VerifyFunction] = {
        "Nodes": _nodes,
        "Workloads": _workloads,
        "Storage": _storage,
        "Karpenter": _karpenter,
        "AWS permissions": _identities,
        "Web UIs": _web_uis,
        "Custom checks": _custom_checks,
    }
    with ThreadPoolExecutor(_CONCURRENCY, thread_name_prefix="verify") as pool:
        submitted = {
            name: pool.submit(_guarded, name, check, context) for name, check in parts.items()
        }
        answers = (with_group(name, answer.result()) for name, answer in submitted.items())
        checks = (*with_group("Cluster", api), *(check for answer in answers for check in answer))
    # Last: its claim starts unbound, which another check would report as a failure.
    return (*checks, *_guarded("Test volume", _probe, context)) if context.deep else checks


def _guarded(name: str, check: VerifyFunction, context: VerifyContext) -> tuple[Check, ...]:
    try:
        return tuple(check(context))
    except JarkkitError as error:
        denied = isinstance(error, AccessDenied)
        return (
            Check(
                name=name,
                status="unknown" if denied else "fail",
                found="no answer",
                why=f"{error.message} {error.evidence}".strip(),
                fix=error.fix,
                code=error.code,
            ),
        )


def _api(context: VerifyContext) -> Iterator[Check]:
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


def _nodes(context: VerifyContext) -> Sequence[Check]:
    now = datetime.now(UTC)
    return judge.check_nodes(
        context.stack.settings,
        (judge.node_status(node, now) for node in context.kube.list("v1", "Node")),
    )


def _workloads(context: VerifyContext) -> Sequence[Check]:
    existing = all_replica_statuses(lambda kind: context.kube.list("apps/v1", kind))
    return judge.check_workloads(context.stack, existing, _failures(context, existing))


def _failures(
    context: VerifyContext, existing: Mapping[WorkloadKey, ReplicaStatus]
) -> dict[WorkloadKey, PodFailure]:
    """Find out why workloads are not ready; list only their pods."""
    found: dict[WorkloadKey, PodFailure] = {}
    for addon, workload in context.stack.workloads:
        at = workload_key(addon, workload)
        if at not in existing or has_all_replicas(workload, existing[at]):
            continue
        owner = context.kube.get("apps/v1", workload.kind, workload.name, addon.namespace)
        failure = diagnose_pods(context.kube, owner) if owner else None
        if failure is not None:
            found[at] = failure
    return found


def _storage(context: VerifyContext) -> Sequence[Check]:
    classes = tuple(context.kube.list("storage.k8s.io/v1", "StorageClass"))
    return judge.check_default_storage_class(context.stack, classes)


def _probe(context: VerifyContext) -> Iterator[Check]:
    """Create a claim of the default storage class, where there is one."""
    if all(check.status == "pass" for check in _storage(context)):
        yield probe_volume(context.kube)


def _karpenter(context: VerifyContext) -> Sequence[Check]:
    if not context.stack.settings.karpenter:
        return (Check(name="Karpenter's pools", status="skip", found="Karpenter is off"),)
    pools, classes = (
        tuple(context.kube.list(api, kind)) if context.kube.serves_kind(api, kind) else ()
        for api, kind in (("karpenter.sh/v1", "NodePool"), ("karpenter.k8s.aws/v1", "EC2NodeClass"))
    )
    return judge.check_node_pools(context.stack, pools, classes)


def _identities(context: VerifyContext) -> Iterator[Check]:
    for name, identity in context.stack.pod_identities.items():
        namespace, account = identity["namespace"], identity["service_account"]
        exists = context.kube.get("v1", "ServiceAccount", account, namespace)
        selector = f"spec.serviceAccountName={account}"
        pods = tuple(context.kube.list("v1", "Pod", namespace, fields=selector)) if exists else None
        yield judge.check_pod_identity(name, namespace, account, pods, rehearsal=context.rehearsal)


def _web_uis(context: VerifyContext) -> Iterator[Check]:
    def check(endpoint: web_uis.WebEndpoint) -> tuple[Check, ...]:
        return _guarded(endpoint.title, partial(_web_ui, endpoint), context)

    with ThreadPoolExecutor(_CONCURRENCY, thread_name_prefix="page") as pool:
        for checks in pool.map(check, web_uis.endpoints(context.stack)):
            yield from checks


def _web_ui(endpoint: web_uis.WebEndpoint, context: VerifyContext) -> Iterator[Check]:
    answer = web_uis.get_endpoint(context.kube, endpoint)
    works = answer.status < 500
    simulated = " from the sandbox: no program runs behind it" if answer.simulated else ""
    yield Check(
        name=f"Web UI of {endpoint.title}",
        status="pass" if works else "fail",
        found=f"answers {answer.status}{simulated}",
        needed="an answer",
        why=f"jarkkit use open {endpoint.name}",
        fix="" if works else f"Check its pods: kubectl -n {endpoint.namespace} get pods",
        code="" if works else "JK-VERIFY-FAILED",
    )


def _custom_checks(context: VerifyContext) -> Iterator[Check]:
    own, unreadable = custom_checks.user_checks(context.custom_checks)
    yield from unreadable
    for check in (*custom_checks.built_in_checks(), *own):
        if context.stack.matches(check.when):
            yield from _guarded(check.title, partial(_custom_check, check), context)


def _custom_check(check: custom_checks.CustomCheck, context: VerifyContext) -> Iterator[Check]:
    of = check.object
    objects: Iterator[Object] = iter(())
    if of.name:
        one = context.kube.get(of.api_version, of.kind, of.name, of.namespace)
        objects = iter((one,) if one else ())
    elif context.kube.serves_kind(of.api_version, of.kind):
        objects = context.kube.list(of.api_version, of.kind, of.namespace, labels=of.labels)
    yield custom_checks.evaluate(check, objects)


def _notes(context: VerifyContext, state: ClusterState) -> tuple[str, ...]:
    """Explain what a rehearsal proves."""
    if not context.rehearsal:
        return ()
    charts = {name: installed.real for name, installed in state.addons.items()}
    stubs = sorted(name for name, real in charts.items() if real is False)
    real = sum(real is True for real in charts.values())
    notes = [
        "Rehearsal: Kubernetes, Karpenter and the operators of Argo and Ray are real; other pods "
        "are simulated, so the rehearsal proves nothing about their images and programs."
    ]
    if stubs:
        notes.append(f"Charts: {real} real; stub charts from the catalog for {', '.join(stubs)}.")
    return tuple(notes)
