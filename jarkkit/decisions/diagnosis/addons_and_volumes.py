"""Findings about volumes, webhooks, Helm releases and add-ons. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from jarkkit.catalog.addons import Addon, AddonWorkload
from jarkkit.decisions.cluster.pod_failures import find_failure
from jarkkit.decisions.cluster.pod_status import PodOwner
from jarkkit.decisions.cluster.readiness import (
    ReplicaStatus,
    WorkloadKey,
    workload_key,
)
from jarkkit.decisions.diagnosis.findings import Finding, Rank, truncate
from jarkkit.decisions.diagnosis.nodes import event_age
from jarkkit.decisions.diagnosis.pods import PodGroup, concerns
from jarkkit.model.helm_releases import Release
from jarkkit.model.records import ClusterState

Object = Mapping[str, Any]

_RECENT = timedelta(minutes=5)
_HEALTHY = ("deployed", "superseded")


# -- what pods wait for ----------------------------------------------------------------------------


def claim_findings(
    claims: Iterable[Object], classes: Iterable[Object], events: Sequence[Object]
) -> Iterator[Finding]:
    """Report pending volume claims, except those that just wait for their first pod."""
    known = {c["metadata"]["name"] for c in classes}
    for claim in claims:
        meta = claim["metadata"]
        failures = [
            e
            for e in events
            if e.get("reason") == "ProvisioningFailed"
            and e.get("involvedObject", {}).get("namespace") == meta["namespace"]
            and concerns(e, meta["name"])
        ]
        wanted = claim.get("spec", {}).get("storageClassName")
        missing = wanted not in known if wanted is not None else not known
        if not (failures or missing):
            continue
        name = f"{meta['namespace']}/{meta['name']}"
        yield Finding(
            rank=Rank.CLAIM,
            subject=f"Volume claim {name}",
            found=str(failures[-1].get("message", ""))
            if failures
            else f"storage class {wanted or 'none'}",
            why="Its storage class does not exist."
            if missing
            else "The CSI driver cannot create a volume for it.",
            fix="Choose an existing class: kubectl get storageclass"
            if missing
            else "Read the CSI driver's message. Check that its controller is ready and has its "
            "AWS permissions (jarkkit verify shows both), and that the volume quota suffices.",
            code="JK-VOLUME-PENDING",
            explains=frozenset({f"claim:{name}"}),
            follows=frozenset({"addon:aws-ebs-csi-driver", "addon:aws-efs-csi-driver"}),
        )


def webhook_findings(
    configurations: Iterable[Object], slices: Iterable[Object], groups: Sequence[PodGroup]
) -> Iterator[Finding]:
    """Report admission webhooks without a ready pod: they reject requests or are skipped."""
    ready = _ready_services(slices)
    silent: dict[tuple[str, str], list[Object]] = {}
    for configuration in configurations:
        for webhook in configuration.get("webhooks") or ():
            service = webhook.get("clientConfig", {}).get("service")
            where = (service["namespace"], service["name"]) if service else None
            if where and where not in ready:
                silent.setdefault(where, []).append(webhook)
    for (namespace, name), webhooks in silent.items():
        rejects = any(w.get("failurePolicy", "Fail") == "Fail" for w in webhooks)
        owners = {g.owner for g in groups if g.owner.namespace == namespace}
        yield Finding(
            rank=Rank.WEBHOOK,
            subject=f"Webhooks of {namespace}/{name}",
            found=f"no ready pod behind {truncate(', '.join(w['name'] for w in webhooks), 200)}",
            why="Until one is ready, the API server rejects the objects that they check."
            if rejects
            else "The API server accepts objects without these checks.",
            fix=f"Fix the pods behind the Service: kubectl -n {namespace} get pods. If its add-on "
            "is no longer installed, delete the webhook configuration.",
            code="JK-WEBHOOK-DOWN",
            grave=rejects,
            explains=frozenset(f"webhook:{w['name']}" for w in webhooks),
            follows=frozenset(f"pods:{o.namespace}/{o.name}" for o in owners),
        )


def _ready_services(slices: Iterable[Object]) -> set[tuple[str, str]]:
    return {
        (s["metadata"]["namespace"], s["metadata"].get("labels", {}).get(_SERVICE, ""))
        for s in slices
        if any(e.get("conditions", {}).get("ready", True) for e in s.get("endpoints") or ())
    }


_SERVICE = "kubernetes.io/service-name"


def refused_findings(
    events: Sequence[Object], addons: Mapping[PodOwner, Addon], now: datetime
) -> Iterator[Finding]:
    """Report pods that the API server rejected: a quota, a policy, a webhook.

    Args:
        addons: the add-on that each owner of pods belongs to.
    """
    last: dict[tuple[str, str, str], Object] = {}
    for event in events:
        about = event.get("involvedObject", {})
        if event.get("reason") == "FailedCreate" and event_age(event, now) < _RECENT:
            name = str(about.get("name", ""))
            last[about.get("namespace", ""), about.get("kind", ""), name] = event
    for (namespace, kind, name), event in last.items():
        found = find_failure((), (dict(event),))
        if found is None:
            continue
        owner = _owner(kind, namespace, name)
        addon = addons.get(owner)
        webhook = re.search(r'failed calling webhook "([^"]+)"', found.evidence)
        yield Finding(
            rank=Rank.REFUSED_PODS,
            subject=f"{kind} {namespace}/{name}",
            found=found.evidence,
            why=f"{found.message}.",
            fix=found.fix,
            code="JK-KUBE-REFUSED" if webhook else found.code,
            explains=frozenset(
                {f"pods:{namespace}/{owner.name}"} | ({f"addon:{addon.name}"} if addon else set())
            ),
            follows=frozenset({f"webhook:{webhook[1]}"} if webhook else ()),
            covers=frozenset({str(owner)}),
        )


def _owner(kind: str, namespace: str, name: str) -> PodOwner:
    """Return the workload that asks for the pods: a ReplicaSet's Deployment, else itself."""
    if kind == "ReplicaSet" and (deployment := name.rpartition("-")[0]):
        return PodOwner(namespace, "Deployment", deployment)
    return PodOwner(namespace, kind, name)


# -- add-ons ---------------------------------------------------------------------------------------


def release_findings(releases: Iterable[Release]) -> Iterator[Finding]:
    """Report Helm releases that an earlier run left unfinished."""
    for release in releases:
        if release.status in _HEALTHY:
            continue
        yield Finding(
            rank=Rank.RELEASE,
            subject=f"Helm release {release.namespace}/{release.name}",
            found=f"revision {release.revision} of {release.chart} {release.version} is "
            f"{release.status}",
            why="A run was interrupted during this revision."
            if release.status.startswith(("pending", "uninstalling"))
            else "Helm could not apply it.",
            fix="Deploy again; jarkkit first repairs the release: jarkkit deploy",
            code="JK-HELM-FAILED",
            explains=frozenset({f"release:{release.namespace}/{release.name}"}),
            follows=frozenset({"code:JK-KUBE-REFUSED", "code:JK-WEBHOOK-DOWN"}),
        )


def addon_findings(
    expected: Iterable[tuple[Addon, AddonWorkload]],
    there: Mapping[WorkloadKey, ReplicaStatus],
    state: ClusterState,
) -> Iterator[Finding]:
    """Report add-ons with missing workloads or an unfinished installation."""
    absent: dict[str, list[AddonWorkload]] = {}
    addons: dict[str, Addon] = {}
    for addon, workload in expected:
        addons[addon.name] = addon
        if workload_key(addon, workload) not in there:
            absent.setdefault(addon.name, []).append(workload)
    begun = {name for name, installed in state.addons.items() if not installed.digest}
    for name in addons:
        if name not in absent and name not in begun:
            continue
        addon, gone = addons[name], absent.get(name, [])
        before = {n for n, a in addons.items() if a.core and not addon.core} | {*addon.needs, name}
        release = f"release:{addon.namespace}/{addon.chart.release}" if addon.chart else ""
        yield Finding(
            rank=Rank.ADDON,
            subject=f"Add-on {name}",
            found=f"missing: {', '.join(f'{w.kind} {w.name}' for w in gone)}"
            if gone
            else "its installation is unfinished",
            why=f"{addon.title} is only partly installed.",
            fix="Deploy again; it continues where it stopped: jarkkit deploy",
            code="JK-ADDON-FAILED",
            explains=frozenset({f"addon:{name}"}),
            follows=frozenset(
                {release, "code:JK-KUBE-REFUSED", *(f"addon:{other}" for other in before)}
            ),
            covers=frozenset(f"{w.kind} {addon.namespace}/{w.name}" for w in gone),
        )


# -- other warnings -------------------------------------------------------------------------------


def unrelated_warnings(
    events: Iterable[Object], findings: Iterable[Finding], groups: Iterable[PodGroup], now: datetime
) -> str:
    """Summarize the recent warnings that no finding covers, in one line; empty if none.

    Warnings about pods that are ready now, or gone, no longer matter.
    """
    known = " ".join(f"{f.subject} {f.why} {' '.join(f.explains)}" for f in findings)
    unready = {pod["metadata"]["name"] for group in groups for pod in group.pods}
    counts: dict[str, int] = {}
    for event in events:
        about = event.get("involvedObject", {})
        karpenters = about.get("kind") in ("NodeClaim", "NodePool")  # findings already, or passed
        passed = about.get("kind") == "Pod" and about.get("name") not in unready
        old = event_age(event, now) > _RECENT
        if old or passed or karpenters or str(about.get("name", "")) in known:
            continue
        qualified = "/".join(filter(None, (about.get("namespace", ""), about.get("name", ""))))
        words = f"{event.get('reason', '')} ({about.get('kind', '')} {qualified})"
        counts[words] = counts.get(words, 0) + int(event.get("count") or 1)
    if not counts:
        return ""
    most = sorted(counts, key=lambda words: -counts[words])
    text = "; ".join(f"{words} ×{counts[words]}" for words in most[:5])  # noqa: RUF001
    more = f" and {len(most) - 5} more" if len(most) > 5 else ""
    return f"Other recent warnings: {text}{more}."
