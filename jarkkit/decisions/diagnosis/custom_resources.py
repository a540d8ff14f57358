"""Findings about what users deploy with the operators: Ray, Argo, and plain Jobs. Pure.

Status fields: https://docs.ray.io/en/latest/cluster/kubernetes/ (KubeRay 1.6),
https://argo-workflows.readthedocs.io/en/latest/fields/ (3.7),
https://argo-cd.readthedocs.io/en/stable/operator-manual/health/ and batch/v1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from jarkkit.decisions.diagnosis.findings import Finding, Rank
from jarkkit.decisions.diagnosis.pods import concerns

Object = Mapping[str, Any]

CODE = "JK-WORKLOAD-FAILED"
# The kinds with a status that reports a failure.
KINDS = (
    ("ray.io/v1", "RayCluster"),
    ("ray.io/v1", "RayJob"),
    ("ray.io/v1", "RayService"),
    ("argoproj.io/v1alpha1", "Workflow"),
    ("argoproj.io/v1alpha1", "CronWorkflow"),
    ("argoproj.io/v1alpha1", "Application"),
    ("batch/v1", "Job"),
    ("kubeflow.org/v2beta1", "MPIJob"),
    ("batch.volcano.sh/v1alpha1", "Job"),
)
DO_NOT_DISRUPT = "karpenter.sh/do-not-disrupt"
# What failed longer ago is only worth a warning.
_RECENT = timedelta(hours=1)
# An operator sets a status within seconds.
_IGNORED = timedelta(minutes=3)
_MAX_FINDINGS = 20


class _Failure(NamedTuple):
    """What a status reports.

    Attributes:
        why: in words, with a full stop.
        fix: an instruction.
        evidence: the resource's own message.
    """

    why: str
    fix: str
    evidence: str


def workload_findings(
    resources: Iterable[Object], events: Sequence[Object], now: datetime
) -> Iterator[Finding]:
    """Report custom resources and Jobs whose status, or newest warning, reports a failure.

    Args:
        events: the cluster's warnings, oldest first.
    """
    count = 0
    for item in resources:
        failure = _failure_of(item, events, now)
        if failure is None:
            continue
        count += 1
        if count > _MAX_FINDINGS:
            return
        meta = item["metadata"]
        ended = _ended_at(item)
        yield Finding(
            rank=Rank.WORKLOAD,
            subject=f"{item['kind']} {meta['namespace']}/{meta['name']}",
            found=failure.evidence or "its status has no message",
            why=failure.why,
            fix=failure.fix,
            code=CODE,
            grave=ended is None or now - ended < _RECENT,
            explains=frozenset({f"{item['kind']}:{meta['namespace']}/{meta['name']}"}),
            follows=frozenset(_causes(item)),
        )


def _causes(item: Object) -> Iterator[str]:
    """Yield the keys of findings that explain this one: its pods, and what it creates."""
    meta, status = item["metadata"], item.get("status") or {}
    yield f"pods:{meta['namespace']}/{meta['name']}"
    cluster = status.get("rayClusterName") or ""
    for name in filter(None, (cluster, *_active_clusters(status))):
        yield f"pods:{meta['namespace']}/{name}"
        yield f"RayCluster:{meta['namespace']}/{name}"


def _active_clusters(status: Object) -> Iterator[str]:
    for part in ("activeServiceStatus", "pendingServiceStatus"):
        yield str((status.get(part) or {}).get("rayClusterName") or "")


def _ended_at(item: Object) -> datetime | None:
    status = item.get("status") or {}
    failed = _condition(status, "Failed").get("lastTransitionTime")
    for moment in (status.get("finishedAt"), status.get("endTime"), failed):
        if moment:
            return datetime.fromisoformat(moment)
    return None


def _failure_of(item: Object, events: Sequence[Object], now: datetime) -> _Failure | None:
    read = _READERS.get((str(item.get("apiVersion", "")).split("/")[0], item["kind"]))
    status = item.get("status") or {}
    found = read(item, status) if read else None
    return found or _rejected(item, events) or _ignored(item, now)


def _rejected(item: Object, events: Sequence[Object]) -> _Failure | None:
    """Report the operator's warning about a resource that it does not accept."""
    if item["kind"] not in ("RayCluster", "RayJob", "RayService", "CronWorkflow"):
        return None
    meta = item["metadata"]
    own = [
        e
        for e in events
        if concerns(e, meta["name"])
        and e.get("involvedObject", {}).get("kind") == item["kind"]
        and e.get("involvedObject", {}).get("namespace", meta["namespace"]) == meta["namespace"]
        and str(e.get("reason", "")).startswith(("Invalid", "Validat"))
    ]
    if not own:
        return None
    return _Failure(
        "Its operator does not accept it, so nothing runs.",
        f"Correct what the message names, then apply the {item['kind']} again.",
        f"{own[-1].get('reason')}: {own[-1].get('message', '')}",
    )


def _ignored(item: Object, now: datetime) -> _Failure | None:
    created = item["metadata"].get("creationTimestamp")
    if item.get("status") or item["kind"] in ("Job", "CronWorkflow") or not created:
        return None
    if now - datetime.fromisoformat(created) < _IGNORED:
        return None
    return _Failure(
        "It has no status: its operator has not looked at it.",
        "Check that the operator's pods run and watch this namespace: jarkkit verify",
        "no status",
    )


# -- Ray -------------------------------------------------------------------------------------------


def _ray_job(item: Object, status: Object) -> _Failure | None:
    state = status.get("jobDeploymentStatus", "")
    result = status.get("jobStatus", "")
    message = str(status.get("message") or "")
    reason = str(status.get("reason") or "")
    if state == "ValidationFailed":
        return _Failure(
            "KubeRay does not accept its specification, so nothing runs.",
            "Correct what the message names, then create the RayJob again.",
            message or reason,
        )
    if state != "Failed" and result not in ("FAILED", "STOPPED"):
        return None
    meta = item["metadata"]
    return _Failure(
        f"The Ray job ended: {reason or result or state}.",
        f"Read its log: kubectl -n {meta['namespace']} logs job/{meta['name']}. Correct the cause "
        "and create the RayJob again under another name: a RayJob runs once.",
        message or reason or result,
    )


def _ray_cluster(item: Object, status: Object) -> _Failure | None:
    replica = _condition(status, "ReplicaFailure")
    failed = status.get("state") == "failed"
    if replica.get("status") != "True" and not failed:
        return None
    return _Failure(
        "KubeRay cannot create pods of the cluster.",
        "Correct what the message names: a quota, a policy, a field of the pod template.",
        f"{replica.get('reason', '')}: {replica.get('message', '')}".strip(": ")
        or str(status.get("reason", "")),
    )


def _ray_service(item: Object, status: Object) -> _Failure | None:
    for part in ("activeServiceStatus", "pendingServiceStatus"):
        applications = (status.get(part) or {}).get("applicationStatuses") or {}
        for name, application in applications.items():
            if application.get("status") in ("DEPLOY_FAILED", "UNHEALTHY"):
                return _Failure(
                    f"Ray Serve reports the application {name} as {application['status']}.",
                    "Correct serveConfigV2 or the program that it imports; Ray Serve tries again "
                    "when it changes.",
                    str(application.get("message") or _deployment_message(application)),
                )
    return None


def _deployment_message(application: Object) -> str:
    deployments = application.get("serveDeploymentStatuses") or {}
    return "; ".join(str(d["message"]) for d in deployments.values() if d.get("message"))


# -- Argo ------------------------------------------------------------------------------------------


def _workflow(item: Object, status: Object) -> _Failure | None:
    spec_error = _condition(status, "SpecError")
    if status.get("phase") not in ("Failed", "Error") and spec_error.get("status") != "True":
        return None
    texts = [
        str(status.get("message") or ""),
        str(spec_error.get("message") or ""),
        *_step_messages(status),
    ]
    evidence = "; ".join(dict.fromkeys(text for text in texts if text))
    meta = item["metadata"]
    namespace = str(meta["namespace"])
    if account := re.search(r"service ?account (?:\S+/)?(\S+?):? (?:was )?not found|"
                            r"looking up service account \S+/(\S+?):", evidence):  # fmt: skip
        name = account[1] or account[2]
        return _Failure(
            f"The service account {name}, which runs its pods, does not exist in {namespace}.",
            f"kubectl -n {namespace} create serviceaccount {name}; {_rights(namespace, name)}",
            evidence,
        )
    if "workflowtaskresults" in evidence or "exit code 64" in evidence:
        name = str((item.get("spec") or {}).get("serviceAccountName") or "default")
        return _Failure(
            f"Its service account {name} may not write the result of a step.",
            _rights(namespace, name),
            evidence,
        )
    return _Failure(
        f"The workflow ended with the phase {status.get('phase') or 'Error'}.",
        f"Read its log: kubectl -n {namespace} logs -l workflows.argoproj.io/workflow="
        f"{meta['name']} -c main",
        evidence,
    )


def _rights(namespace: str, account: str) -> str:
    """Return the commands that let an account run workflows.

    https://argo-workflows.readthedocs.io/en/latest/workflow-rbac/
    """
    kubectl = f"kubectl -n {namespace} create"
    return (
        f"{kubectl} role workflow-executor --verb=create,patch "
        f"--resource=workflowtaskresults.argoproj.io; {kubectl} rolebinding {account}-executor "
        f"--role=workflow-executor --serviceaccount={namespace}:{account}"
    )


def _step_messages(status: Object) -> Iterator[str]:
    for node in (status.get("nodes") or {}).values():
        if node.get("phase") in ("Failed", "Error") and node.get("message"):
            yield str(node["message"])


def _cron_workflow(item: Object, status: Object) -> _Failure | None:
    for kind in ("SpecError", "SubmissionError"):
        condition = _condition(status, kind)
        if condition.get("status") == "True":
            return _Failure(
                "Argo cannot start its workflows.",
                "Correct what the message names: the schedule, a template, a service account.",
                str(condition.get("message", "")),
            )
    return None


def _application(item: Object, status: Object) -> _Failure | None:
    errors = [
        f"{c['type']}: {c.get('message', '')}"
        for c in status.get("conditions") or ()
        if str(c.get("type", "")).endswith("Error")
    ]
    operation = status.get("operationState") or {}
    health = (status.get("health") or {}).get("status", "")
    if operation.get("phase") in ("Failed", "Error"):
        errors.append(str(operation.get("message", "")))
    if not errors and health != "Degraded":
        return None
    name = item["metadata"]["name"]
    return _Failure(
        "Argo CD cannot apply what its repository contains."
        if errors
        else "Argo CD has applied it, and some of its resources are Degraded.",
        f"Correct what the message names, then synchronize it: argocd app sync {name}"
        if errors
        else f"See which resources: argocd app get {name}, or its page: jarkkit use open argo-cd",
        "; ".join(errors) or str((status.get("health") or {}).get("message") or "Degraded"),
    )


# -- Jobs ------------------------------------------------------------------------------------------


def _job(item: Object, status: Object) -> _Failure | None:
    failed = _condition(status, "Failed")
    if failed.get("status") != "True" or item["metadata"].get("ownerReferences"):
        return None
    meta = item["metadata"]
    return _Failure(
        f"The Job gave up: {failed.get('reason') or 'it failed'}.",
        f"Read its log: kubectl -n {meta['namespace']} logs job/{meta['name']}. A Job does not run "
        "again: delete and create it.",
        str(failed.get("message", "")),
    )


def _volcano_job(item: Object, status: Object) -> _Failure | None:
    state = status.get("state") or {}
    if state.get("phase") not in ("Failed", "Aborted", "Terminated"):
        return None
    return _Failure(
        f"Volcano reports the Job as {state['phase']}.",
        "Read the logs of its pods, then create the Job again.",
        str(state.get("message") or state.get("reason") or ""),
    )


_READERS: dict[tuple[str, str], Callable[[Object, Object], _Failure | None]] = {
    ("ray.io", "RayJob"): _ray_job,
    ("ray.io", "RayCluster"): _ray_cluster,
    ("ray.io", "RayService"): _ray_service,
    ("argoproj.io", "Workflow"): _workflow,
    ("argoproj.io", "CronWorkflow"): _cron_workflow,
    ("argoproj.io", "Application"): _application,
    ("batch", "Job"): _job,
    ("kubeflow.org", "MPIJob"): _job,
    ("batch.volcano.sh", "Job"): _volcano_job,
}


def _condition(status: Object, kind: str) -> Object:
    conditions = status.get("conditions") or ()
    return next((c for c in conditions if c.get("type") == kind), {})


# -- before it fails -------------------------------------------------------------------------------


def disruption_findings(resources: Iterable[Object], pools: Iterable[Object]) -> Iterator[Finding]:
    """Warn of Ray heads that Karpenter may move: with its head a Ray cluster loses its jobs.

    https://karpenter.sh/docs/concepts/disruption/#pod-level-controls
    """
    moving = [
        pool["metadata"]["name"]
        for pool in pools
        if pool["spec"].get("disruption", {}).get("consolidationPolicy", _MOVES) == _MOVES
    ]
    heads = [
        f"{item['metadata']['namespace']}/{item['metadata']['name']}"
        for item in resources
        if item["kind"] == "RayCluster" and _head_may_move(item)
    ]
    if not heads or not moving:
        return
    yield Finding(
        rank=Rank.WORKLOAD,
        subject="Ray heads that Karpenter may move",
        found=", ".join(sorted(heads)[:5]) + (f" and {len(heads) - 5} more" * (len(heads) > 5)),
        why="To save money, Karpenter moves pods to fewer nodes. When it moves a head, the "
        "cluster's jobs are lost.",
        fix=f'Add the annotation {DO_NOT_DISRUPT}: "true" to the metadata of the head\'s and the '
        "workers' pod templates, as in jarkkit's Ray example.",
        code=CODE,
        grave=False,
    )


_MOVES = "WhenEmptyOrUnderutilized"


def _head_may_move(cluster: Object) -> bool:
    template = (cluster.get("spec", {}).get("headGroupSpec") or {}).get("template") or {}
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    selector = (template.get("spec") or {}).get("nodeSelector") or {}
    accelerated = (
        any(key in selector for key in ("accelerator",))
        or selector.get("jarkkit/pool", "cpu") != "cpu"
    )
    return annotations.get(DO_NOT_DISRUPT) != "true" and not (
        accelerated or "jarkkit/nodes" in selector
    )
