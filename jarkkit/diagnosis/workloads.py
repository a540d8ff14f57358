"""What the cluster says of what its pods need, and of its add-ons. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from jarkkit.addons.catalogue import Addon, Workload
from jarkkit.cluster.pod_troubles import trouble
from jarkkit.cluster.readiness import Key, Standing, key
from jarkkit.diagnosis.findings import Finding, Rank, cut
from jarkkit.diagnosis.nodes import age
from jarkkit.diagnosis.pods import Group, is_about
from jarkkit.helm import Release
from jarkkit.records import ClusterState

Object = Mapping[str, Any]

_RECENT = timedelta(minutes=5)
_HEALTHY = ("deployed", "superseded")


# -- what pods wait for ----------------------------------------------------------------------------


def claim_findings(
    claims: Iterable[Object], classes: Iterable[Object], events: Sequence[Object]
) -> Iterator[Finding]:
    """Of pending volume claims those that wait for more than a pod that uses them."""
    known = {c["metadata"]["name"] for c in classes}
    for thing in claims:
        meta = thing["metadata"]
        said = [
            e
            for e in events
            if e.get("reason") == "ProvisioningFailed"
            and e.get("involvedObject", {}).get("namespace") == meta["namespace"]
            and is_about(e, meta["name"])
        ]
        asked = thing.get("spec", {}).get("storageClassName")
        missing = asked not in known if asked is not None else not known
        if not (said or missing):
            continue
        name = f"{meta['namespace']}/{meta['name']}"
        yield Finding(
            rank=Rank.CLAIM,
            subject=f"Volume claim {name}",
            found=str(said[-1].get("message", "")) if said else f"storage class {asked or 'none'}",
            why="Its storage class does not exist." if missing else "No volume can be made for it.",
            fix="Name a class that there is: kubectl get storageclass"
            if missing
            else "The message is the CSI driver's. Is its controller ready, has it its AWS "
            "permissions, is there a quota of volumes left? jarkkit verify shows the first two.",
            code="JK-VOLUME-PENDING",
            explains=frozenset({f"claim:{name}"}),
            follows=frozenset({"addon:aws-ebs-csi-driver", "addon:aws-efs-csi-driver"}),
        )


def webhook_findings(
    configurations: Iterable[Object], slices: Iterable[Object], groups: Sequence[Group]
) -> Iterator[Finding]:
    """Admission webhooks behind whose Service no pod is ready: they refuse, or let pass unseen."""
    ready = _answered(slices)
    silent: dict[tuple[str, str], list[Object]] = {}
    for configuration in configurations:
        for webhook in configuration.get("webhooks") or ():
            service = webhook.get("clientConfig", {}).get("service")
            where = (service["namespace"], service["name"]) if service else None
            if where and where not in ready:
                silent.setdefault(where, []).append(webhook)
    for (namespace, name), webhooks in silent.items():
        refuses = any(w.get("failurePolicy", "Fail") == "Fail" for w in webhooks)
        owners = {g.owner for g in groups if g.owner.namespace == namespace}
        yield Finding(
            rank=Rank.WEBHOOK,
            subject=f"Webhooks of {namespace}/{name}",
            found=f"no ready pod behind {cut(', '.join(w['name'] for w in webhooks), 200)}",
            why="Until one is ready, the API server refuses what they should look at."
            if refuses
            else "What they should look at passes unseen.",
            fix=f"Bring the pods behind the Service up: kubectl -n {namespace} get pods. If its "
            "add-on is gone for good, delete the webhook configuration.",
            code="JK-WEBHOOK-DOWN",
            grave=refuses,
            explains=frozenset(f"webhook:{w['name']}" for w in webhooks),
            follows=frozenset(f"pods:{o.namespace}/{o.name}" for o in owners),
        )


def _answered(slices: Iterable[Object]) -> set[tuple[str, str]]:
    return {
        (s["metadata"]["namespace"], s["metadata"].get("labels", {}).get(_SERVICE, ""))
        for s in slices
        if any(e.get("conditions", {}).get("ready", True) for e in s.get("endpoints") or ())
    }


_SERVICE = "kubernetes.io/service-name"


def refused_findings(events: Sequence[Object], now: datetime) -> Iterator[Finding]:
    """Pods that the API server did not let in: a quota, a policy, a webhook."""
    last: dict[tuple[str, str, str], Object] = {}
    for event in events:
        about = event.get("involvedObject", {})
        if event.get("reason") == "FailedCreate" and age(event, now) < _RECENT:
            name = str(about.get("name", ""))
            last[about.get("namespace", ""), about.get("kind", ""), name] = event
    for (namespace, kind, name), event in last.items():
        found = trouble((), (dict(event),))
        if found is None:
            continue
        webhook = re.search(r'failed calling webhook "([^"]+)"', found.evidence)
        yield Finding(
            rank=Rank.REFUSED_PODS,
            subject=f"{kind} {namespace}/{name}",
            found=found.evidence,
            why=f"{found.message}.",
            fix=found.fix,
            code="JK-KUBE-REFUSED" if webhook else found.code,
            explains=frozenset({f"pods:{namespace}/{name}"}),
            follows=frozenset({f"webhook:{webhook[1]}"} if webhook else ()),
        )


# -- add-ons ---------------------------------------------------------------------------------------


def release_findings(releases: Iterable[Release]) -> Iterator[Finding]:
    """Helm releases that an earlier run left half done."""
    for release in releases:
        if release.status in _HEALTHY:
            continue
        yield Finding(
            rank=Rank.RELEASE,
            subject=f"Helm release {release.namespace}/{release.name}",
            found=f"revision {release.revision} of {release.chart} {release.version} is "
            f"{release.status}",
            why="A run was cut short in the middle of it."
            if release.status.startswith(("pending", "uninstalling"))
            else "Helm could not carry it out.",
            fix="Deploy again: the kit repairs the release first. jarkkit deploy",
            code="JK-HELM-FAILED",
            explains=frozenset({f"release:{release.namespace}/{release.name}"}),
            follows=frozenset({"code:JK-KUBE-REFUSED", "code:JK-WEBHOOK-DOWN"}),
        )


def addon_findings(
    expected: Iterable[tuple[Addon, Workload]], there: Mapping[Key, Standing], state: ClusterState
) -> Iterator[Finding]:
    """Add-ons of which something is not there at all, or whose installation has not ended."""
    absent: dict[str, list[str]] = {}
    addons: dict[str, Addon] = {}
    for addon, workload in expected:
        addons[addon.name] = addon
        if key(addon, workload) not in there:
            absent.setdefault(addon.name, []).append(f"{workload.kind} {workload.name}")
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
            found=f"missing: {', '.join(gone)}" if gone else "its installation has not ended",
            why=f"{addon.title} is not installed whole.",
            fix="Deploy again, it goes on where it stopped: jarkkit deploy",
            code="JK-ADDON-FAILED",
            explains=frozenset({f"addon:{name}"}),
            follows=frozenset(
                {release, "code:JK-KUBE-REFUSED", *(f"addon:{other}" for other in before)}
            ),
        )


# -- what else was said ----------------------------------------------------------------------------


def summary(
    events: Iterable[Object], told: Iterable[Finding], groups: Iterable[Group], now: datetime
) -> str:
    """The warnings of the last minutes that no finding is about, in one line; empty if none. What
    was said of pods that are well now, or gone, has passed."""
    known = " ".join(f"{f.subject} {f.why} {' '.join(f.explains)}" for f in told)
    unready = {pod["metadata"]["name"] for group in groups for pod in group.pods}
    counts: dict[str, int] = {}
    for event in events:
        about = event.get("involvedObject", {})
        karpenters = about.get("kind") in ("NodeClaim", "NodePool")  # told as findings, or passed
        passed = about.get("kind") == "Pod" and about.get("name") not in unready
        old = age(event, now) > _RECENT
        if old or passed or karpenters or str(about.get("name", "")) in known:
            continue
        place = "/".join(filter(None, (about.get("namespace", ""), about.get("name", ""))))
        words = f"{event.get('reason', '')} ({about.get('kind', '')} {place})"
        counts[words] = counts.get(words, 0) + int(event.get("count") or 1)
    if not counts:
        return ""
    most = sorted(counts, key=lambda words: -counts[words])
    said = "; ".join(f"{words} ×{counts[words]}" for words in most[:5])  # noqa: RUF001
    more = f" and {len(most) - 5} more" if len(most) > 5 else ""
    return f"Warnings of the last minutes that no finding is about: {said}{more}."
