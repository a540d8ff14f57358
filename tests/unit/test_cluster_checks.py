"""Judging what a cluster says of itself, and why pods are not ready."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from jarkkit.addons.catalogue import Addon, Workload
from jarkkit.checks import Check
from jarkkit.cluster import checks as judge
from jarkkit.cluster import declared
from jarkkit.cluster.conditions import Condition, values_at
from jarkkit.cluster.pod_inquiry import inquire, selector
from jarkkit.cluster.pod_troubles import Trouble, trouble, whose_log
from jarkkit.cluster.readiness import Standing
from jarkkit.errors import CODES
from jarkkit.settings import Settings

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
OLD = "2026-11-25T11:00:00Z"
SETTINGS = Settings()


# -- pods ------------------------------------------------------------------------------------------


def pod(
    name: str = "hub-1", *, node: str = "n1", status: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "jupyterhub", "creationTimestamp": OLD},
        "spec": {"containers": [{"name": "hub", "image": "hub:1"}], "nodeName": node, **spec},
        "status": {"phase": "Pending", **(status or {})},
    }


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"containerStatuses": [{"name": "hub", "image": "hub:1", "state": state, **more}]}


def said(kind: str, name: str, reason: str, message: str, when: str = OLD) -> dict[str, Any]:
    return {
        "metadata": {"creationTimestamp": when},
        "involvedObject": {"kind": kind, "name": name},
        "reason": reason,
        "message": message,
        "lastTimestamp": when,
    }


def unscheduled(message: str, name: str = "hub-1", **spec: Any) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "message": message}
    return pod(name, node="", status={"conditions": [condition]}, **spec)


GPU = [
    {"name": "hub", "image": "cuda", "resources": {"limits": {"nvidia.com/gpu": "1"}}},
]
# As Karpenter 1.14 and EC2 say it.
QUOTA = (
    "NodeClaim g6-abcde event: creating instance, insufficient capacity, with fleet error(s), "
    "VcpuLimitExceeded: You have requested more vCPU capacity than your current vCPU limit of 0 "
    "allows for the instance bucket"
)
CAPACITY = (
    "NodeClaim g6-abcde event: creating instance, insufficient capacity, with fleet error(s), "
    "InsufficientInstanceCapacity: We currently do not have sufficient capacity"
)


class TestTrouble:
    def found(self, *pods: dict[str, Any], events: Any = (), logs: Any = None) -> Trouble:
        wrong = trouble(pods, events, logs)
        assert wrong is not None
        assert wrong.code in CODES
        assert wrong.fix
        assert wrong.error("The hub").code == wrong.code
        return wrong

    def test_an_image_that_cannot_be_pulled(self) -> None:
        wrong = self.found(pod(status=waiting("ImagePullBackOff", "hub:1: not found")))
        assert wrong.code == "JK-ADDON-IMAGE"
        assert "hub:1" in wrong.message
        assert "not found" in wrong.evidence

    def test_an_init_container_counts(self) -> None:
        status = {"initContainerStatuses": waiting("ErrImagePull")["containerStatuses"]}
        assert self.found(pod(status=status)).code == "JK-ADDON-IMAGE"

    def test_a_crash_shows_the_last_lines(self) -> None:
        last: dict[str, Any] = {"lastState": {"terminated": {"exitCode": 3, "reason": "Error"}}}
        crashing = pod(status=waiting("CrashLoopBackOff", **last))
        wrong = self.found(crashing, logs={"hub-1": "one\nno such file: config.py\n"})
        assert wrong.code == "JK-ADDON-CRASH"
        assert "exit code 3" in wrong.message
        assert wrong.evidence.endswith("no such file: config.py")
        assert whose_log([crashing]) == ("jupyterhub", "hub-1", "hub", True)

    def test_out_of_memory_names_the_limit(self) -> None:
        last: dict[str, Any] = {
            "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
        }
        limits = [{"name": "hub", "image": "hub:1", "resources": {"limits": {"memory": "64Mi"}}}]
        wrong = self.found(
            pod(status=waiting("CrashLoopBackOff", restartCount=4, **last), containers=limits)
        )
        assert wrong.code == "JK-ADDON-CRASH"
        assert "64Mi" in wrong.message

    def test_a_missing_secret(self) -> None:
        status = waiting("CreateContainerConfigError", 'secret "hf-token" not found')
        wrong = self.found(pod(status=status))
        assert wrong.code == "JK-ADDON-FAILED"
        assert "hf-token" in wrong.evidence

    def test_a_volume_that_cannot_be_mounted(self) -> None:
        events = [said("Pod", "hub-1", "FailedMount", "mount failed: nfs timed out")]
        assert "nfs" in self.found(pod(), events=events).evidence

    @pytest.mark.parametrize(
        ("words", "code"), [(QUOTA, "JK-AWS-QUOTA"), (CAPACITY, "JK-AWS-CAPACITY")]
    )
    def test_what_karpenter_could_not_have(self, words: str, code: str) -> None:
        events = [said("NodeClaim", "g6-abcde", "InsufficientCapacityError", words)]
        gpu = unscheduled("0/3 nodes are available: 3 Insufficient nvidia.com/gpu", containers=GPU)
        assert self.found(gpu, events=events).code == code
        chosen = unscheduled("none", containers=GPU, nodeSelector={"jarkkit/pool": "g6"})
        assert self.found(chosen, events=events).code == code

    def test_the_limit_is_named(self) -> None:
        events = [said("NodeClaim", "g6-abcde", "InsufficientCapacityError", QUOTA)]
        gpu = unscheduled("none", containers=GPU)
        assert "only 0 vCPUs" in self.found(gpu, events=events).message

    def test_other_pools_and_other_times_do_not_count(self) -> None:
        claim = said("NodeClaim", "g6-abcde", "InsufficientCapacityError", QUOTA)
        cpu = unscheduled("0/3 nodes are available: 3 Insufficient cpu")
        assert self.found(cpu, events=[claim]).code == "JK-ADDON-PENDING"
        long_ago = {**claim, "lastTimestamp": "2026-11-25T10:00:00Z"}
        gpu = unscheduled("none", containers=GPU)
        assert self.found(gpu, events=[long_ago]).code == "JK-ADDON-PENDING"

    @pytest.mark.parametrize(
        ("message", "words"),
        [
            ("3 node(s) had untolerated taint {nvidia.com/gpu: true}", "taint"),
            ("3 node(s) didn't match Pod's node affinity/selector", "labels"),
            ("all available instance types exceed limits for nodepool (NodePool=cpu)", "limit"),
            ("0/3 nodes are available: 3 Insufficient cpu", "room"),
            ("pod has unbound immediate PersistentVolumeClaims", "volume"),
        ],
    )
    def test_no_node(self, message: str, words: str) -> None:
        wrong = self.found(unscheduled(message))
        assert wrong.code == "JK-ADDON-PENDING"
        assert words in wrong.message
        assert message[:30] in wrong.evidence

    def test_a_pod_whose_node_is_on_its_way(self) -> None:
        waits = unscheduled("0/3 nodes are available: 3 Insufficient cpu")
        promised = said("Pod", "hub-1", "Nominated", "Pod should schedule on: nodeclaim/cpu-abcde")
        failed = said("Pod", "hub-1", "FailedScheduling", "Failed to schedule pod, no room")
        again = said("Pod", "hub-1", "FailedScheduling", "0/3 nodes are available")
        wrong = self.found(waits, events=[failed, promised, again])
        assert (wrong.code, "Karpenter is adding" in wrong.message) == ("JK-ADDON-PENDING", True)
        assert "cpu-abcde" in wrong.evidence
        assert "no node has room" in self.found(waits, events=[promised, failed]).message

    def test_a_claim_that_cannot_be_met(self) -> None:
        volumes = [{"name": "db", "persistentVolumeClaim": {"claimName": "db"}}]
        events = [said("PersistentVolumeClaim", "db", "ProvisioningFailed", "no permission")]
        wrong = self.found(unscheduled("waiting", volumes=volumes), events=events)
        assert "no permission" in wrong.evidence

    def test_pods_that_are_refused(self) -> None:
        events = [said("ReplicaSet", "hub-7", "FailedCreate", "pods is forbidden: exceeded quota")]
        assert "ResourceQuota" in self.found(events=events).message

    def test_time_alone_is_no_trouble(self) -> None:
        assert trouble([pod(status=waiting("ContainerCreating"))], []) is None
        assert trouble([], []) is None

    def test_pods_that_are_ready_or_going_do_not_matter(self) -> None:
        ready = pod(status={**waiting("x"), "conditions": [{"type": "Ready", "status": "True"}]})
        going = pod(status=waiting("ImagePullBackOff"))
        going["metadata"]["deletionTimestamp"] = OLD
        assert trouble([ready, going], []) is None

    def test_evidence_is_cut(self) -> None:
        wrong = self.found(pod(status=waiting("ErrImagePull", "x" * 5000)))
        assert len(wrong.evidence) <= 600


class FakeCluster:
    """Answers what is asked of pods and events, and remembers the questions."""

    def __init__(self, pods: list[dict[str, Any]], events: list[dict[str, Any]]) -> None:
        self.pods, self.happened, self.asked = pods, events, list[str]()

    def list(self, _: str, kind: str, namespace: str = "", **chosen: str) -> Any:
        self.asked.append(f"{kind} {namespace} {''.join(chosen.values())}")
        return iter(self.pods if kind == "Pod" else self.happened)

    def logs(self, namespace: str, pod: str, container: str = "", **_: Any) -> str:
        return f"last words of {container}"


class TestInquiry:
    OWNER = {  # noqa: RUF012 - never changed
        "metadata": {"name": "hub", "namespace": "jupyterhub"},
        "spec": {
            "selector": {
                "matchLabels": {"app": "hub"},
                "matchExpressions": [
                    {"key": "tier", "operator": "In", "values": ["a", "b"]},
                    {"key": "old", "operator": "DoesNotExist"},
                ],
            }
        },
    }

    def test_the_selector_is_as_the_api_takes_it(self) -> None:
        assert selector(self.OWNER) == "app=hub,tier in (a,b),!old"

    def test_only_its_own_pods_are_asked_for(self) -> None:
        last: dict[str, Any] = {"lastState": {"terminated": {"exitCode": 1}}}
        cluster = FakeCluster([pod(status=waiting("CrashLoopBackOff", **last))], [])
        wrong = inquire(cluster, self.OWNER)
        assert wrong is not None
        assert wrong.evidence == "last words of hub"
        assert cluster.asked[0].startswith("Pod jupyterhub app=hub")

    def test_what_others_could_not_make_is_theirs(self) -> None:
        refused = said("ReplicaSet", "proxy-1", "FailedCreate", "exceeded quota")
        assert inquire(FakeCluster([], [refused]), self.OWNER) is None
        mine = said("ReplicaSet", "hub-1", "FailedCreate", "exceeded quota")
        assert inquire(FakeCluster([], [mine]), self.OWNER) is not None


# -- nodes -----------------------------------------------------------------------------------------


def node(
    name: str,
    *,
    ready: str = "True",
    pool: str = "",
    age: timedelta = timedelta(hours=1),
    **more: Any,
) -> dict[str, Any]:
    labels = {"node.kubernetes.io/instance-type": more.pop("type", "m5.xlarge")}
    labels |= {"karpenter.sh/nodepool": pool} if pool else {"eks.amazonaws.com/nodegroup": "core"}
    taints = [{"key": more.pop("taint")}] if "taint" in more else []
    return {
        "metadata": {
            "name": name,
            "labels": labels,
            "creationTimestamp": (NOW - age).isoformat().replace("+00:00", "Z"),
        },
        "spec": {"taints": taints},
        "status": {
            "conditions": [{"type": "Ready", "status": ready, "reason": "KubeletNotReady"}],
            "allocatable": more.pop("allocatable", {}),
            "nodeInfo": {"kubeletVersion": more.pop("version", f"v{SETTINGS.cluster_version}.3")},
        },
    }


class TestNodes:
    def judged(self, *nodes: dict[str, Any]) -> dict[str, Check]:
        checks = judge.judge_nodes(SETTINGS, (judge.node(n, NOW) for n in nodes))
        return {check.name: check for check in checks}

    def test_all_is_well(self) -> None:
        found = self.judged(node("a"), node("b"))
        assert found["Nodes of core"].status == "pass"
        assert found["Nodes of core"].found == "2/2 Ready, m5.xlarge"
        assert found["Version of the nodes"].status == "pass"
        assert found["Accelerators nvidia.com/gpu"].status == "skip"

    def test_one_that_is_lost_and_one_that_joins(self) -> None:
        found = self.judged(node("a"), node("b", ready="False"))
        assert found["Nodes of core"].status == "fail"
        assert "b: KubeletNotReady" in found["Nodes of core"].why
        found = self.judged(node("a"), node("b", ready="False", age=timedelta(minutes=1)))
        assert found["Nodes of core"].status == "warn"

    def test_accelerators(self) -> None:
        gpu = {"nvidia.com/gpu": "4"}
        good = node("g", pool="g6", taint="nvidia.com/gpu", allocatable=gpu)
        silent = node("h", pool="g6", taint="nvidia.com/gpu")
        assert self.judged(good)["Accelerators nvidia.com/gpu"].found == "4 on 1 nodes"
        check = self.judged(good, silent)["Accelerators nvidia.com/gpu"]
        assert (check.status, check.why) == ("fail", "h")

    def test_none_at_all_and_an_older_version(self) -> None:
        assert self.judged()["Nodes"].status == "fail"
        assert self.judged(node("a", version="v1.20.1"))["Version of the nodes"].status == "warn"


# -- workloads, storage, pools, identities ---------------------------------------------------------


ADDON = Addon.model_validate(
    {
        "name": "jupyterhub",
        "title": "JupyterHub",
        "what": "x",
        "group": "Notebooks",
        "install": "manifests",
        "namespace": "jupyterhub",
        "link": "https://example.org",
    }
)
HUB = Workload(kind="Deployment", name="hub", replicas=2)


class TestWorkloads:
    def test_the_rows_of_the_table(self) -> None:
        row = judge.judge_workload(ADDON, HUB, Standing(2, 2))
        assert (row.name, row.found, row.status) == ("Deployment jupyterhub/hub", "2/2", "pass")
        everyone = Workload(kind="DaemonSet", name="agent")
        assert judge.judge_workload(ADDON, everyone, Standing(0, 0)).status == "pass"

    def test_one_that_is_not_ready_says_why(self) -> None:
        wrong = Trouble("JK-ADDON-IMAGE", "pod a/b cannot pull", "Mend it.", "not found")
        row = judge.judge_workload(ADDON, HUB, Standing(1, 2), wrong)
        assert (row.status, row.code, row.fix) == ("fail", "JK-ADDON-IMAGE", "Mend it.")
        assert "not found" in row.why
        assert judge.judge_workload(ADDON, HUB, Standing(1, 2)).code == "JK-ADDON-TIMEOUT"

    def test_one_that_is_missing_or_was_scaled_down(self) -> None:
        assert judge.judge_workload(ADDON, HUB, None).found == "not there"
        assert judge.judge_workload(ADDON, HUB, Standing(1, 1)).status == "fail"


def storage_class(name: str, default: bool = True, kind: str = "gp3") -> dict[str, Any]:
    marks = {judge.DEFAULT_CLASS: "true"} if default else {}
    meta = {"name": name, "annotations": marks}
    return {"metadata": meta, "provisioner": "ebs.csi.aws.com", "parameters": {"type": kind}}


@pytest.mark.parametrize(
    ("classes", "status"),
    [
        ([storage_class("gp3"), storage_class("gp2", default=False, kind="gp2")], "pass"),
        ([storage_class("gp3"), storage_class("gp2", kind="gp2")], "fail"),
        ([storage_class("gp2", kind="gp2")], "fail"),
        ([], "fail"),
    ],
)
def test_the_default_storage_class(classes: list[dict[str, Any]], status: str) -> None:
    (check,) = judge.judge_storage(SETTINGS, classes)
    assert check.status == status
    assert bool(check.fix) is (status == "fail")


def conditioned(name: str, **statuses: str) -> dict[str, Any]:
    conditions = [
        {"type": kind, "status": status, "message": f"{kind} is {status}"}
        for kind, status in statuses.items()
    ]
    spec = {"limits": {"cpu": "64"}}
    return {"metadata": {"name": name}, "spec": spec, "status": {"conditions": conditions}}


def test_karpenters_pools() -> None:
    pools = [conditioned("cpu", Ready="True"), conditioned("g6", Ready="False", Valid="False")]
    classes = [conditioned("cpu", Ready="True")]
    found = {check.name: check for check in judge.judge_pools(SETTINGS, pools, classes)}
    assert found["Pool cpu"].found == "Ready, 0 of 64 vCPUs"
    assert "Valid is False" in found["Pool g6"].why
    assert found["Node class accelerator"].found == "not there"


def test_identities() -> None:
    env = [{"name": "AWS_CONTAINER_CREDENTIALS_FULL_URI", "value": "x"}]
    with_them = pod(containers=[{"name": "a", "image": "a", "env": env}])
    assert judge.judge_identity("hub", "a", "b", None).status == "fail"
    assert judge.judge_identity("hub", "a", "b", [with_them]).status == "pass"
    assert judge.judge_identity("hub", "a", "b", [with_them, pod("late")]).status == "warn"
    assert judge.judge_identity("hub", "a", "b", [pod()], rehearsal=True).status == "pass"


# -- checks as data --------------------------------------------------------------------------------


THING = {
    "metadata": {"name": "x", "namespace": "n", "labels": {"a/b": "c"}},
    "spec": {"containers": [{"image": "one"}, {"image": "two"}]},
    "status": {"conditions": [{"type": "Ready", "status": "True"}], "replicas": 2},
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        (".status.replicas", [2]),
        ('.metadata.labels["a/b"]', ["c"]),
        (".spec.containers[1].image", ["two"]),
        (".spec.containers[*].image", ["one", "two"]),
        (".status.conditions[type=Ready].status", ["True"]),
        (".status.conditions[type=Other].status", []),
        (".spec.containers[7].image", []),
        (".no.such.thing", []),
    ],
)
def test_paths(path: str, values: list[Any]) -> None:
    assert values_at(THING, path) == values


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"field": ".status.replicas", "equals": 2}, True),
        ({"field": ".status.replicas", "at_least": 3}, False),
        ({"field": ".status.replicas", "one_of": [1, 2]}, True),
        ({"field": ".spec.containers[*].image", "matches": "^one$"}, False),
        ({"field": ".status.nothing", "exists": False}, True),
        ({"field": ".status.nothing", "equals": 2}, False),
    ],
)
def test_conditions(condition: dict[str, Any], holds: bool) -> None:
    made = Condition.model_validate(condition)
    assert made.holds(THING) is holds
    assert made.wanted
    assert made.found(THING)


@pytest.mark.parametrize(
    "wrong",
    [
        {"field": "status", "equals": 1},
        {"field": ".status[", "equals": 1},
        {"field": ".status"},
        {"field": ".status", "equals": 1, "exists": True},
    ],
)
def test_conditions_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Condition.model_validate(wrong)


class TestDeclared:
    TEXT = (
        "title: It has two\n"
        "object: {apiVersion: v1, kind: Thing}\n"
        "field: .status.replicas\n"
        "equals: 2\n"
        "fix: Give it two.\n"
    )

    def test_the_shipped_ones_are_sound(self) -> None:
        assert len(declared.shipped()) >= 3
        assert all(check.why and check.fix for check in declared.shipped())

    def test_judging(self) -> None:
        (check,) = declared.parse(self.TEXT)
        assert declared.judge(check, [THING]).status == "pass"
        other = {**THING, "status": {"replicas": 1}}
        wrong = declared.judge(check, [THING, other])
        assert (wrong.status, wrong.found) == ("fail", "n/x: 1")
        assert declared.judge(check, []).found == "no Thing"

    def test_skipping_and_none_needed(self) -> None:
        more = "severity: warn\n"
        text = self.TEXT.replace(
            "kind: Thing", "kind: Thing, at_least: 0, skip: {field: .a, equals: 1}"
        )
        (check,) = declared.parse(text + more)
        assert declared.judge(check, [{**THING, "a": 1}]).status == "pass"
        assert declared.judge(check, [{**THING, "status": {}}]).status == "warn"

    def test_a_users_folder(self, tmp_path: Path) -> None:
        (tmp_path / "good.yaml").write_text(self.TEXT)
        (tmp_path / "bad.yaml").write_text("title: x\nnonsense: 1\n")
        (tmp_path / "worse.yml").write_text("{")
        good, bad = declared.own(tmp_path)
        assert [check.title for check in good] == ["It has two"]
        assert {check.name for check in bad} == {"checks/bad.yaml", "checks/worse.yml"}
        assert all(check.status == "fail" and check.why for check in bad)
        assert declared.own(tmp_path / "absent") == ((), ())
