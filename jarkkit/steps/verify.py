"""Does it really work? The account and the cluster are asked, not the state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from jarkkit.addons import choice
from jarkkit.aws_layer import AwsLayer
from jarkkit.checks import Check, Report, grouped
from jarkkit.cluster import checks as judge
from jarkkit.cluster import declared, places
from jarkkit.cluster.layer import Connect
from jarkkit.cluster.pod_inquiry import inquire
from jarkkit.cluster.pod_troubles import Trouble
from jarkkit.cluster.readiness import Key, Standing, all_standings, is_up, key
from jarkkit.cluster.volume_probe import probe_volume
from jarkkit.errors import JarkkitError
from jarkkit.kube import Kube, Object
from jarkkit.records import Cluster, ClusterState, Deployed, Part
from jarkkit.settings import Settings

# Most of the time goes into waiting for answers.
_AT_A_TIME = 4
CHECKS = "checks"


def verify(layer: AwsLayer, connect: Connect | None = None, *, deep: bool = False) -> Report:
    """Check every part of both layers. Raises JK-PLAN-MISSING before a deploy.

    Args:
        connect: None where clusters have no API: then the cluster layer is left out.
        deep: make a volume, too, with a pod that uses it, and take both away again.
    """
    deployed = layer.workspace.load("deployed", Deployed)
    if deployed is None:
        raise JarkkitError(
            "JK-PLAN-MISSING", "Nothing has been deployed yet.", "Deploy first: jarkkit deploy"
        )
    layer.target()
    cluster = layer.account.cluster(layer.settings.name)
    parts = layer.account.parts(layer.settings.name) if cluster else ()
    checks = (
        *grouped("Cluster", judge_cluster(layer.settings, cluster)),
        *grouped("Node groups and EKS add-ons", judge_parts(layer.settings, parts)),
        *grouped("Around the cluster", judge_outputs(layer.settings, deployed)),
    )
    notes: tuple[str, ...] = ()
    if connect is not None and cluster is not None:
        look = Look(
            kube=connect(deployed.outputs).kube,
            settings=layer.settings,
            own_checks=layer.workspace.folder / CHECKS,
            rehearsal=layer.workspace.rehearsal,
            deep=deep,
        )
        checks = (*checks, *cluster_checks(look))
        notes = _notes(look, layer.workspace.load("cluster", ClusterState) or ClusterState())
    return Report(title="Does it work?", checks=checks, notes=notes)


def judge_cluster(settings: Settings, cluster: Cluster | None) -> tuple[Check, ...]:
    """The control plane: there, active, of the right version, with an endpoint."""
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
        _equal("Kubernetes version", cluster.version, settings.cluster_version),
        Check(
            name="API endpoint",
            status="pass" if cluster.endpoint else "fail",
            found="given" if cluster.endpoint else "none",
            code="" if cluster.endpoint else "JK-VERIFY-FAILED",
        ),
    )


def judge_parts(settings: Settings, parts: tuple[Part, ...]) -> tuple[Check, ...]:
    """Node groups and EKS add-ons: all that the settings ask for, all active."""
    by_name = {(part.kind, part.name): part for part in parts}
    wanted_addons = [a.name for a in choice.chosen(settings) if a.install == "eks"]
    groups = [part for part in parts if part.kind == "node group"]
    expected_groups = 2 if settings.static_gpu_nodes else 1
    checks = [
        Check(
            name="Node groups",
            status="pass" if len(groups) >= expected_groups else "fail",
            found=str(len(groups)),
            needed=str(expected_groups),
            code="" if len(groups) >= expected_groups else "JK-VERIFY-FAILED",
            fix="" if len(groups) >= expected_groups else "Deploy again: jarkkit plan, deploy",
        ),
        *(_judge_part(f"Node group {group.name}", group) for group in groups),
    ]
    checks += [
        _judge_part(f"Add-on {name}", by_name.get(("add-on", name))) for name in wanted_addons
    ]
    return tuple(checks)


def _judge_part(name: str, part: Part | None) -> Check:
    if part is None:
        return Check(
            name=name,
            status="fail",
            found="not installed",
            needed="ACTIVE",
            fix="Make a plan and deploy again: jarkkit plan, jarkkit deploy",
            code="JK-VERIFY-FAILED",
        )
    check = _equal(name, part.status, "ACTIVE")
    version = f"{part.status} {part.version}".strip()
    return check.model_copy(update={"found": version, "why": "; ".join(part.issues)})


def judge_outputs(settings: Settings, deployed: Deployed) -> tuple[Check, ...]:
    """What later steps need to know is known."""
    outputs = deployed.outputs
    zones = outputs.get("availability_zones")
    count = len(zones) if isinstance(zones, list) else 0
    checks = [_equal("Availability Zones", str(count), str(settings.az_count))]
    for setting, name, title in (
        (settings.karpenter, "karpenter", "Karpenter's AWS side"),
        (choice.needs_file_system(settings), "efs", "Shared file system"),
        (settings.artifact_bucket, "artifact_bucket", "Artifact bucket"),
        (settings.managed_prometheus, "prometheus", "Managed Prometheus"),
    ):
        if setting:
            found = "there" if outputs.get(name) else "missing"
            checks.append(_equal(title, found, "there"))
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
class Look:
    """What the cluster layer is looked at with.

    Args:
        own_checks: the user's folder of declared checks; need not exist.
        deep: make a volume, too.
    """

    kube: Kube
    settings: Settings
    own_checks: Path
    rehearsal: bool = False
    deep: bool = False


Asking = Callable[[Look], Iterable[Check]]


def cluster_checks(look: Look) -> tuple[Check, ...]:
    """Every part of the cluster layer, in the order in which one would look. What cannot be asked
    for lack of a permission is unknown; an API that does not answer ends it."""
    api = _guarded("Kubernetes API", _api, look)
    if any(check.status != "pass" for check in api):
        return api
    parts: dict[str, Asking] = {
        "Nodes": _nodes,
        "Workloads": _workloads,
        "Storage": _storage,
        "Karpenter": _karpenter,
        "AWS permissions": _identities,
        "Pages": _pages,
        "Declared checks": _declared,
    }
    with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="verify") as pool:
        asked = {name: pool.submit(_guarded, name, part, look) for name, part in parts.items()}
        answers = (grouped(name, answer.result()) for name, answer in asked.items())
        checks = (*grouped("Cluster", api), *(check for answer in answers for check in answer))
    # Afterwards: its claim is not bound at first, which another check would hold against it.
    return (*checks, *_guarded("A volume", _probe, look)) if look.deep else checks


def _guarded(name: str, part: Asking, look: Look) -> tuple[Check, ...]:
    try:
        return tuple(part(look))
    except JarkkitError as error:
        denied = error.code == "JK-KUBE-DENIED"
        return (
            Check(
                name=name,
                status="unknown" if denied else "fail",
                found="not answered",
                why=f"{error.message} {error.evidence}".strip(),
                fix=error.fix,
                code=error.code,
            ),
        )


def _api(look: Look) -> Iterator[Check]:
    version = look.kube.version()
    wanted = look.settings.cluster_version
    same = judge.minor(version) == wanted
    yield Check(
        name="Kubernetes API",
        status="pass",
        found=f"answers, {version}",
        needed="an answer",
        why=""
        if same
        else f"The sandbox has one version of Kubernetes for all; asked was {wanted}.",
    )


def _nodes(look: Look) -> Sequence[Check]:
    now = datetime.now(UTC)
    return judge.judge_nodes(
        look.settings, (judge.node(thing, now) for thing in look.kube.list("v1", "Node"))
    )


def _workloads(look: Look) -> Sequence[Check]:
    there = all_standings(lambda kind: look.kube.list("apps/v1", kind))
    return judge.judge_workloads(look.settings, there, _troubles(look, there))


def _troubles(look: Look, there: Mapping[Key, Standing]) -> dict[Key, Trouble]:
    """Why those that are not ready are not. Only their pods are asked for."""
    found: dict[Key, Trouble] = {}
    for addon, workload in judge.expected(look.settings):
        at = key(addon, workload)
        if at not in there or is_up(workload, there[at]):
            continue
        thing = look.kube.get("apps/v1", workload.kind, workload.name, addon.namespace)
        wrong = inquire(look.kube, thing) if thing else None
        if wrong is not None:
            found[at] = wrong
    return found


def _storage(look: Look) -> Sequence[Check]:
    classes = tuple(look.kube.list("storage.k8s.io/v1", "StorageClass"))
    return judge.judge_storage(look.settings, classes)


def _probe(look: Look) -> Iterator[Check]:
    """A claim of the default storage class, where there is one."""
    if all(check.status == "pass" for check in _storage(look)):
        yield probe_volume(look.kube)


def _karpenter(look: Look) -> Sequence[Check]:
    if not look.settings.karpenter:
        return (Check(name="Karpenter's pools", status="skip", found="Karpenter is off"),)
    pools, classes = (
        tuple(look.kube.list(api, kind)) if look.kube.knows(api, kind) else ()
        for api, kind in (("karpenter.sh/v1", "NodePool"), ("karpenter.k8s.aws/v1", "EC2NodeClass"))
    )
    return judge.judge_pools(look.settings, pools, classes)


def _identities(look: Look) -> Iterator[Check]:
    for name, namespace, account in judge.identities(look.settings):
        there = look.kube.get("v1", "ServiceAccount", account, namespace)
        mine = f"spec.serviceAccountName={account}"
        pods = tuple(look.kube.list("v1", "Pod", namespace, fields=mine)) if there else None
        yield judge.judge_identity(name, namespace, account, pods, rehearsal=look.rehearsal)


def _pages(look: Look) -> Iterator[Check]:
    def ask(place: places.Place) -> tuple[Check, ...]:
        return _guarded(place.title, partial(_page, place), look)

    with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="page") as pool:
        for checks in pool.map(ask, places.places(look.settings)):
            yield from checks


def _page(place: places.Place, look: Look) -> Iterator[Check]:
    answer = places.ask(look.kube, place)
    sound = answer.status < 500
    simulated = ", by the sandbox: no program is behind it" if answer.simulated else ""
    yield Check(
        name=f"Page of {place.title}",
        status="pass" if sound else "fail",
        found=f"answers {answer.status}{simulated}",
        needed="an answer",
        why=f"jarkkit use open {place.name}",
        fix="" if sound else f"What it says: kubectl -n {place.namespace} get pods",
        code="" if sound else "JK-VERIFY-FAILED",
    )


def _declared(look: Look) -> Iterator[Check]:
    own, unreadable = declared.own(look.own_checks)
    yield from unreadable
    for check in (*declared.shipped(), *own):
        if choice.holds(check.when, look.settings):
            yield from _guarded(check.title, partial(_ask, check), look)


def _ask(check: declared.Declared, look: Look) -> Iterator[Check]:
    of = check.object
    things: Iterator[Object] = iter(())
    if of.name:
        one = look.kube.get(of.api_version, of.kind, of.name, of.namespace)
        things = iter((one,) if one else ())
    elif look.kube.knows(of.api_version, of.kind):
        things = look.kube.list(of.api_version, of.kind, of.namespace, labels=of.labels)
    yield declared.judge(check, things)


def _notes(look: Look, state: ClusterState) -> tuple[str, ...]:
    """What a rehearsal proves."""
    if not look.rehearsal:
        return ()
    charts = {name: installed.real for name, installed in state.addons.items()}
    stand_ins = sorted(name for name, real in charts.items() if real is False)
    real = sum(real is True for real in charts.values())
    notes = [
        "Rehearsal: Kubernetes, Karpenter and the operators of Argo and Ray are real; other pods "
        "are simulated, so nothing is proved about their images and programs."
    ]
    if stand_ins:
        notes.append(
            f"Charts: {real} real; stand-ins from the catalogue for {', '.join(stand_ins)}."
        )
    return tuple(notes)
