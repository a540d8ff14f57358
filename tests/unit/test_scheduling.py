"""Why no node takes a pod: the scheduler's words, and what the cluster offers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from jarkkit.decisions.addons.node_pools import node_pools
from jarkkit.decisions.cluster.pod_failures import find_failure
from jarkkit.decisions.cluster.pod_status import PodFailure
from jarkkit.decisions.cluster.scheduling import UNANNOUNCED
from jarkkit.decisions.cluster.supply import ClusterSupply
from jarkkit.settings import Accelerator, Settings
from tests.support.pods import OLD, event, pod

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
POOLS = node_pools(Settings(accelerators=(Accelerator(family="g5"),)))
NONE = "0/3 nodes are available: "
CLAIMED: dict[str, Any] = {
    "volumes": [{"name": "db", "persistentVolumeClaim": {"claimName": "hub-db"}}]
}
TOLERATED = [{"key": "nvidia.com/gpu", "operator": "Exists"}]


def unscheduled(message: str, *, reason: str = "Unschedulable", **spec: Any) -> dict[str, Any]:
    condition = {
        "type": "PodScheduled", "status": "False", "reason": reason, "message": message,
    }  # fmt: skip
    return pod("hub-1", node="", status={"conditions": [condition]}, **spec)


def requesting(resource: str, **spec: Any) -> dict[str, Any]:
    limits = {"limits": {resource: "1"}}
    message = f"{NONE}3 Insufficient {resource}."
    return unscheduled(message, containers=[{"name": "c", "resources": limits}], **spec)


def node(name: str, zone: str = "us-west-2a", **more: Any) -> dict[str, Any]:
    labels = {"topology.kubernetes.io/zone": zone, "jarkkit/nodes": "core"}
    labels |= more.pop("labels", {})
    status = {
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": OLD}],
        "allocatable": {"cpu": "4", **more.pop("devices", {})},
        "capacity": {"cpu": "4"},
    }
    return {"metadata": {"name": name, "labels": labels}, "spec": more, "status": status}


def supply(*nodes: dict[str, Any], pools: Any = POOLS, zone: str = "") -> ClusterSupply:
    rule = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone]}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}
    volume = {"spec": {"nodeAffinity": {"required": terms}}}
    volumes = {"jupyterhub/hub-db": volume} if zone else {}
    return ClusterSupply(nodes or (node("n1"), node("n2")), pools, volumes, NOW)


def found(one: dict[str, Any], of: ClusterSupply | None = None, *events: Any) -> PodFailure:
    failure = find_failure([one], events, None, of)
    assert failure is not None
    assert failure.code == "JK-ADDON-PENDING"
    return failure


class TestMessages:
    """The scheduler's words alone, when nodes and pools are unknown."""

    @pytest.mark.parametrize(
        ("message", "words", "advice"),
        [
            ("1 node(s) didn't match PersistentVolume's node affinity, 1 Insufficient cpu",
             "in another zone", "data would be lost"),
            ("1 node(s) had volume node affinity conflict, 1 Insufficient cpu",
             "in another zone", "data would be lost"),
            ("2 node(s) exceed max volume count", "attached", "limit of attachments"),
            ("2 Too many pods", "limit of pods", "core_nodes"),
            ("2 node(s) didn't have free ports for the requested pod ports", "port", "hostPort"),
            ("2 node(s) didn't match pod anti-affinity rules", "anti-affinity", "replicas"),
            ("2 node(s) didn't satisfy existing pods anti-affinity rules", "anti-affinity", ""),
            ("2 node(s) didn't match pod affinity rules", "affinity requires", "labels"),
            ("2 node(s) didn't match pod topology spread constraints", "spread", "zone"),
            ("2 node(s) were unschedulable", "cordoned", "uncordon"),
            ("2 node(s) had untolerated taint {node.kubernetes.io/not-ready: }",
             "condition", "would not help"),
            ("2 node(s) had untolerated taint {node.kubernetes.io/disk-pressure: }",
             "condition", "would not help"),
            ("2 node(s) had untolerated taint {ebs.csi.aws.com/agent-not-ready: }",
             "starting", "Wait"),
            ("2 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
             "does not exist any more", "snapshot"),
            ("2 node(s) didn't find available persistent volumes to bind", "no volume", "CSI"),
            ('persistentvolumeclaim "hub-db" not found', "no volume", "claim exists"),
            ("2 cannot allocate all claims", "resource claim", "deviceclasses"),
            ("2 Insufficient cpu, 1 Insufficient memory", "cpu and memory", "Karpenter"),
            ("2 node(s) were afraid of the dark", "does not know", "scheduler's own words"),
        ],
    )  # fmt: skip
    def test_each_reason_has_its_words(self, message: str, words: str, advice: str) -> None:
        failure = found(unscheduled(f"{NONE}{message}. preemption: 0/3 nodes are available: 3 x."))
        assert words in failure.message
        assert advice in failure.fix
        assert message[:40] in failure.evidence
        assert "raise its pools' limits" not in failure.fix

    def test_a_mixed_message_names_both_readings(self) -> None:
        mixed = (
            f"{NONE}1 node(s) had untolerated taint(s), 2 node(s) didn't match Pod's node "
            "affinity/selector."
        )
        failure = found(unscheduled(mixed))
        assert "labels of 2 nodes" in failure.message
        assert "taint of 1 node" in failure.message
        assert "toleration" in failure.fix
        assert "selector" in failure.fix

    def test_a_gate_is_named(self) -> None:
        gated = unscheduled(
            "Scheduling is blocked due to non-empty scheduling gates", reason="SchedulingGated",
            schedulingGates=[{"name": "kueue.x-k8s.io/admission"}],
        )  # fmt: skip
        assert "kueue.x-k8s.io/admission" in found(gated).message


class TestVolumes:
    MESSAGE = f"{NONE}2 node(s) didn't match PersistentVolume's node affinity."

    def test_the_zone_and_its_lack_of_nodes_are_named(self) -> None:
        failure = found(unscheduled(self.MESSAGE, **CLAIMED), supply(zone="us-west-2b"))
        assert "claim hub-db, is in us-west-2b, where no node runs" in failure.message
        assert "data would be lost" in failure.fix

    def test_cordoned_nodes_of_the_zone_are_named(self) -> None:
        cordoned = node("n3", "us-west-2b", unschedulable=True)
        of = supply(node("n1"), cordoned, zone="us-west-2b")
        assert "switched off on n3" in found(unscheduled(self.MESSAGE, **CLAIMED), of).message


class TestResources:
    @pytest.mark.parametrize("resource", ["nvidia/gpu", "nvidia.com/gpus", "nvidia.com/GPU"])
    def test_a_mistyped_resource_is_corrected(self, resource: str) -> None:
        failure = found(requesting(resource, tolerations=[{"operator": "Exists"}]), supply())
        assert f"offers {resource}" in failure.message
        assert "Did you mean nvidia.com/gpu?" in failure.fix

    def test_a_resource_that_no_pool_has(self) -> None:
        failure = found(requesting("aws.amazon.com/neuron"), supply())
        assert "offers aws.amazon.com/neuron" in failure.message
        assert "accelerators in the settings" in failure.fix

    @pytest.mark.parametrize("resource", ["nvidia.com/gpu.shared", "vpc.amazonaws.com/efa"])
    def test_a_resource_that_a_pool_can_have_is_not_mistyped(self, resource: str) -> None:
        tolerant = requesting(resource, tolerations=TOLERATED)
        assert "offers" not in found(tolerant, supply()).message

    def test_a_resource_of_another_device_plugin(self) -> None:
        failure = found(requesting("smarter-devices/fuse"), supply())
        assert "device plugin" in failure.fix

    def test_a_gpu_that_is_there_and_not_announced(self) -> None:
        labels = {"node.kubernetes.io/instance-type": "g5.xlarge"}
        silent = node("gpu-1", labels=labels, taints=[_TAINT])
        one = requesting("nvidia.com/gpu", tolerations=TOLERATED)
        failure = found(one, supply(node("n1"), silent))
        assert "node gpu-1 (g5.xlarge) has accelerators" in failure.message
        assert "would not help" in failure.fix
        assert failure.follows == {UNANNOUNCED}
        sharing = node("gpu-1", labels=labels, taints=[_TAINT], devices={"nvidia.com/gpu": "1"})
        assert "is short on" in found(one, supply(node("n1"), sharing)).message

    def test_without_pools_no_node_is_added(self) -> None:
        full = unscheduled(f"{NONE}3 Insufficient cpu.")
        assert "core_nodes" in found(full, supply(pools=())).fix

    def test_more_than_any_instance_type_has(self) -> None:
        refused = event(
            "Pod", "hub-1", "FailedScheduling",
            'Failed to schedule pod, incompatible with nodepool "g5", did not tolerate taint; '
            'incompatible with nodepool "cpu", no instance type satisfied resources {"cpu":"999"}',
        )  # fmt: skip
        failure = found(unscheduled(f"{NONE}3 Insufficient cpu."), supply(), refused)
        assert "any instance type of the node pool cpu" in failure.message


_TAINT = {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}


class TestLabels:
    MESSAGE = f"{NONE}3 node(s) didn't match Pod's node affinity/selector."

    def test_labels_of_other_kits_are_named_with_the_pool_that_would_do(self) -> None:
        selector = {"NodeGroupType": "g5-gpu-karpenter", "type": "karpenter"}
        failure = found(unscheduled(self.MESSAGE, nodeSelector=selector), supply())
        assert "NodeGroupType=g5-gpu-karpenter, type=karpenter" in failure.message
        assert "`jarkkit/pool: g5`" in failure.fix
        selector["NodeGroupType"] = "x86-cpu-karpenter"
        assert "`jarkkit/pool: cpu`" in found(
            unscheduled(self.MESSAGE, nodeSelector=selector), supply()
        ).fix  # fmt: skip

    def test_required_node_affinity_counts_as_well(self) -> None:
        rule = {"key": "NodePool", "operator": "In", "values": ["gpu-mig"]}
        term = {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}
        affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}}
        assert (
            "NodePool=gpu-mig"
            in found(unscheduled(self.MESSAGE, affinity=affinity), supply()).message
        )

    def test_the_taint_decides_where_the_labels_fit(self) -> None:
        mixed = (
            f"{NONE}1 node(s) had untolerated taint(s), 2 node(s) didn't match Pod's node "
            "affinity/selector."
        )
        failure = found(unscheduled(mixed, nodeSelector={"jarkkit/pool": "g5"}), supply())
        assert "taint nvidia.com/gpu=true:NoSchedule" in failure.message
        assert "key nvidia.com/gpu, operator Exists" in failure.fix

    def test_the_labels_decide_where_all_taints_are_tolerated(self) -> None:
        mixed = (
            f"{NONE}1 node(s) had untolerated taint(s), 2 node(s) didn't match Pod's node "
            "affinity/selector."
        )
        foreign = unscheduled(mixed, nodeSelector={"NodePool": "gpu"}, tolerations=TOLERATED)
        failure = found(foreign, supply())
        assert "NodePool=gpu" in failure.message
        assert "taint" not in failure.message

    def test_a_pool_that_fits_and_adds_no_node(self) -> None:
        fitting = unscheduled(
            self.MESSAGE, nodeSelector={"jarkkit/pool": "g5"}, tolerations=TOLERATED
        )
        failure = found(fitting, supply())
        assert "the node pool g5 that would" in failure.message
        assert "karpenter" in failure.fix


class TestSchedulers:
    @pytest.mark.parametrize(
        ("name", "advice"),
        [("volcano", "add-on volcano"), ("my-scheduler", "add-on neuron"), ("own", "own")],
    )
    def test_a_scheduler_that_does_not_run(self, name: str, advice: str) -> None:
        failure = found(pod("hub-1", node="", schedulerName=name), supply())
        assert f"scheduler {name}" in failure.message
        assert advice in failure.fix

    def test_a_new_pod_just_needs_a_moment(self) -> None:
        new = pod("hub-1", node="", schedulerName="volcano")
        new["metadata"]["creationTimestamp"] = "2026-11-25T11:59:30Z"
        assert find_failure([new], [], None, supply()) is None
