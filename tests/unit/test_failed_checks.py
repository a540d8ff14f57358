"""Verify's checks among the findings of a diagnosis."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from jarkkit.catalog.addons import addon_catalog
from jarkkit.decisions.cluster import health_checks
from jarkkit.decisions.cluster.readiness import ReplicaStatus
from jarkkit.decisions.diagnosis.account import instance_findings
from jarkkit.decisions.diagnosis.failed_checks import check_findings
from jarkkit.decisions.diagnosis.findings import Finding, Rank, group_by_cause, to_check
from jarkkit.model.checks import Check, Status
from jarkkit.model.records import Instance

CRASH = Finding(
    rank=Rank.PODS,
    subject="Deployment jupyterhub/hub",
    found="exit code 1",
    fix="Read its log.",
    code="JK-ADDON-CRASH",
    explains=frozenset({"pods:jupyterhub/hub", "addon:jupyterhub"}),
)


def check(name: str, status: Status = "fail", **more: Any) -> Check:
    return Check(name=name, status=status, found="seen", **{"fix": "Fix it.", **more})


def web_ui(**more: Any) -> Check:
    return check("Web UI of JupyterHub", group="Web UIs", about=("addon:jupyterhub",), **more)


def grouped(*checks: Check, findings: tuple[Finding, ...] = (), starting: str = "") -> list[Check]:
    added = check_findings(checks, findings, {starting})
    return list(map(to_check, group_by_cause([*findings, *added])))


def test_a_failed_check_is_a_finding_with_its_texts() -> None:
    texts = {"needed": "one, EBS gp3", "why": "Why.", "fix": "Fix it.", "code": "JK-VERIFY-FAILED"}
    failed = check("Default storage class").model_copy(update={"group": "Storage", **texts})
    (found,) = grouped(failed, check("Passes", "pass"), check("Not needed", "skip"))
    assert found.model_dump(include=set(texts)) == texts
    assert (found.name, found.status, found.found) == (failed.name, "fail", "seen")


def test_a_warning_stays_a_warning() -> None:
    (found,) = grouped(check("Version of the nodes", "warn", group="Nodes"))
    assert (found.status, found.code) == ("warn", "")


def test_a_check_with_the_name_of_a_finding_is_not_repeated() -> None:
    about = ("pods:jupyterhub/hub", "addon:jupyterhub")
    same = check(CRASH.subject, group="Workloads", about=about)
    (found,) = grouped(same, findings=(CRASH,))
    assert (found.code, found.follows) == ("JK-ADDON-CRASH", ())


def test_a_check_that_a_finding_covers_is_not_repeated() -> None:
    incomplete = replace(CRASH, subject="Add-on jupyterhub", covers=frozenset({CRASH.subject}))
    (found,) = grouped(check(CRASH.subject, group="Workloads"), findings=(incomplete,))
    assert (found.name, found.follows) == ("Add-on jupyterhub", ())


def test_a_check_of_the_same_add_on_is_a_symptom() -> None:
    (found,) = grouped(web_ui(code="JK-USE-FAILED"), findings=(CRASH,))
    assert found.name == CRASH.subject
    assert found.follows == ("Web UI of JupyterHub: seen [JK-USE-FAILED]",)


def test_a_symptom_without_a_code_has_no_brackets() -> None:
    (found,) = grouped(web_ui(), findings=(CRASH,))
    assert found.follows == ("Web UI of JupyterHub: seen",)


def test_a_check_of_several_objects_is_a_symptom_only_if_all_are_explained() -> None:
    claim = replace(CRASH, subject="Volume claim a/b", explains=frozenset({"claim:a/b"}))
    bound = check("Volumes are bound", about=("claim:a/b", "claim:a/c"))
    assert len(grouped(bound, findings=(claim,))) == 2
    other = replace(claim, subject="Volume claim a/c", explains=frozenset({"claim:a/c"}))
    assert len(grouped(bound, findings=(claim, other))) == 2


def test_a_symptom_does_not_make_a_warning_of_new_pods_grave() -> None:
    hub = check(CRASH.subject, group="Workloads", about=("addon:jupyterhub",))
    (found,) = grouped(hub, web_ui(), starting=hub.name)
    assert found.status == "warn"
    assert found.follows == ("Web UI of JupyterHub: seen",)
    (found,) = grouped(hub, web_ui())
    assert found.status == "fail"


def test_a_workload_that_is_scaled_to_zero_is_the_cause_of_what_waits_for_it() -> None:
    addon = addon_catalog()["karpenter"]
    workload = next(w for w in addon.workloads if w.name == "karpenter")
    scaled = health_checks.check_workload(addon, workload, ReplicaStatus(0, 0))
    waiting = replace(CRASH, follows=frozenset({"addon:karpenter"}))
    (found,) = grouped(scaled.model_copy(update={"group": "Workloads"}), findings=(waiting,))
    assert (found.name, found.code) == ("Deployment karpenter/karpenter", "JK-ADDON-FAILED")
    assert found.fix == "kubectl -n karpenter scale deployment karpenter --replicas=2"
    assert "hub" in found.follows[0]


def test_a_node_pool_explains_waiting_pods_and_follows_from_karpenter() -> None:
    pool = check("Node pool cpu", group="Karpenter", about=("pool:cpu",), why="no subnets")
    waiting = replace(CRASH, follows=frozenset({"pools"}))
    (found,) = grouped(pool, findings=(waiting,))
    assert (found.name, found.why) == ("Node pool cpu", "no subnets")
    stopped = replace(CRASH, rank=Rank.CORE_PODS, explains=frozenset({"addon:karpenter"}))
    assert len(grouped(pool, findings=(stopped,))) == 2


def test_an_instance_that_boots_is_not_the_cause_of_a_broken_node_class() -> None:
    why = "SubnetSelector did not match any Subnets"
    broken = check("Node class cpu", group="Karpenter", about=("pool:cpu",), why=why)
    now = datetime.now(UTC)
    booting = Instance(
        instance_id="i-1", instance_type="m5.large", zone="a", state="running",
        launched=now.isoformat(), group="cpu",
    )  # fmt: skip
    found = grouped(broken, findings=tuple(instance_findings([booting], frozenset(), now)))
    assert [(c.name, c.status) for c in found] == [
        ("Node class cpu", "fail"),
        ("Instance i-1", "warn"),
    ]
    assert (found[0].why, found[0].fix) == (why, broken.fix)
