"""Why pods are not ready, from their statuses, events and logs."""

from __future__ import annotations

from typing import Any

import pytest

from jarkkit.decisions.cluster.pod_failures import failed_container, find_failure
from jarkkit.decisions.cluster.pod_status import PodFailure
from jarkkit.model.errors import CODES
from tests.support.pods import OLD, event, pod, waiting


def unscheduled(message: str, name: str = "hub-1", **spec: Any) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "message": message}
    return pod(name, node="", status={"conditions": [condition]}, **spec)


GPU = [
    {"name": "hub", "image": "cuda", "resources": {"limits": {"nvidia.com/gpu": "1"}}},
]

# The messages of Karpenter 1.14 and EC2.
QUOTA = (
    "NodeClaim g6-abcde event: creating instance, insufficient capacity, with fleet error(s), "
    "VcpuLimitExceeded: You have requested more vCPU capacity than your current vCPU limit of 0 "
    "allows for the instance bucket"
)

CAPACITY = (
    "NodeClaim g6-abcde event: creating instance, insufficient capacity, with fleet error(s), "
    "InsufficientInstanceCapacity: We currently do not have sufficient capacity"
)


class TestFindFailure:
    def found(self, *pods: dict[str, Any], events: Any = (), logs: Any = None) -> PodFailure:
        failure = find_failure(pods, events, logs)
        assert failure is not None
        assert failure.code in CODES
        assert failure.fix
        assert failure.to_error("The hub").code == failure.code
        return failure

    def test_an_image_that_cannot_be_pulled(self) -> None:
        failure = self.found(pod(status=waiting("ImagePullBackOff", "hub:1: not found")))
        assert failure.code == "JK-ADDON-IMAGE"
        assert "hub:1" in failure.message
        assert "not found" in failure.evidence

    def test_an_init_container_that_cannot_pull_its_image(self) -> None:
        status = {"initContainerStatuses": waiting("ErrImagePull")["containerStatuses"]}
        assert self.found(pod(status=status)).code == "JK-ADDON-IMAGE"

    def test_a_crash_shows_the_last_lines(self) -> None:
        last: dict[str, Any] = {"lastState": {"terminated": {"exitCode": 3, "reason": "Error"}}}
        crashing = pod(status=waiting("CrashLoopBackOff", **last))
        failure = self.found(crashing, logs={"hub-1": "one\nno such file: config.py\n"})
        assert failure.code == "JK-ADDON-CRASH"
        assert "exit code 3" in failure.message
        assert failure.evidence.endswith("no such file: config.py")
        assert failed_container([crashing]) == ("jupyterhub", "hub-1", "hub", True)

    def test_out_of_memory_names_the_limit(self) -> None:
        last: dict[str, Any] = {
            "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
        }
        limits = [{"name": "hub", "image": "hub:1", "resources": {"limits": {"memory": "64Mi"}}}]
        failure = self.found(
            pod(status=waiting("CrashLoopBackOff", restartCount=4, **last), containers=limits)
        )
        assert failure.code == "JK-ADDON-CRASH"
        assert "64Mi" in failure.message

    def test_a_missing_secret(self) -> None:
        status = waiting("CreateContainerConfigError", 'secret "hf-token" not found')
        failure = self.found(pod(status=status))
        assert failure.code == "JK-ADDON-FAILED"
        assert "hf-token" in failure.evidence

    def test_a_volume_that_cannot_be_mounted(self) -> None:
        events = [event("Pod", "hub-1", "FailedMount", "mount failed: nfs timed out")]
        assert "nfs" in self.found(pod(), events=events).evidence

    @pytest.mark.parametrize(
        ("words", "code"), [(QUOTA, "JK-AWS-QUOTA"), (CAPACITY, "JK-AWS-CAPACITY")]
    )
    def test_a_quota_or_capacity_error_of_karpenter(self, words: str, code: str) -> None:
        events = [event("NodeClaim", "g6-abcde", "InsufficientCapacityError", words)]
        gpu = unscheduled("0/3 nodes are available: 3 Insufficient nvidia.com/gpu", containers=GPU)
        assert self.found(gpu, events=events).code == code
        chosen = unscheduled("none", containers=GPU, nodeSelector={"jarkkit/pool": "g6"})
        assert self.found(chosen, events=events).code == code

    def test_the_quota_is_named(self) -> None:
        events = [event("NodeClaim", "g6-abcde", "InsufficientCapacityError", QUOTA)]
        gpu = unscheduled("none", containers=GPU)
        assert "only 0 vCPUs" in self.found(gpu, events=events).message

    def test_errors_of_other_pools_and_older_errors_are_ignored(self) -> None:
        claim = event("NodeClaim", "g6-abcde", "InsufficientCapacityError", QUOTA)
        cpu = unscheduled("0/3 nodes are available: 3 Insufficient cpu")
        assert self.found(cpu, events=[claim]).code == "JK-ADDON-PENDING"
        long_ago = {**claim, "lastTimestamp": "2026-11-25T10:00:00Z"}
        gpu = unscheduled("none", containers=GPU)
        assert self.found(gpu, events=[long_ago]).code == "JK-ADDON-PENDING"

    def test_an_old_error_that_was_repeated_counts(self) -> None:
        claim = event("NodeClaim", "g6-abcde", "InsufficientCapacityError", QUOTA)
        gpu = unscheduled("none", containers=GPU)
        series = {"count": 9, "lastObservedTime": gpu["metadata"]["creationTimestamp"]}
        repeated = {
            **claim, "lastTimestamp": None, "eventTime": "2026-11-25T10:00:00Z", "series": series,
        }  # fmt: skip
        assert self.found(gpu, events=[repeated]).code == "JK-AWS-QUOTA"

    @pytest.mark.parametrize(
        ("message", "words"),
        [
            ("3 node(s) had untolerated taint {nvidia.com/gpu: true}", "taint"),
            ("3 node(s) didn't match Pod's node affinity/selector", "labels"),
            ("all available instance types exceed limits for nodepool (NodePool=cpu)", "limit"),
            ("0/3 nodes are available: 3 Insufficient cpu", "capacity"),
            ("pod has unbound immediate PersistentVolumeClaims", "volume"),
        ],
    )
    def test_an_unschedulable_pod(self, message: str, words: str) -> None:
        failure = self.found(unscheduled(message))
        assert failure.code == "JK-ADDON-PENDING"
        assert words in failure.message
        assert message[:30] in failure.evidence

    def test_a_pod_whose_node_is_being_added(self) -> None:
        pending = unscheduled("0/3 nodes are available: 3 Insufficient cpu")
        nominated = event(
            "Pod", "hub-1", "Nominated", "Pod should schedule on: nodeclaim/cpu-abcde"
        )
        failed = event("Pod", "hub-1", "FailedScheduling", "Failed to schedule pod, no room")
        again = event("Pod", "hub-1", "FailedScheduling", "0/3 nodes are available")
        failure = self.found(pending, events=[failed, nominated, again])
        assert (failure.code, "Karpenter is adding" in failure.message) == (
            "JK-ADDON-PENDING",
            True,
        )
        assert "cpu-abcde" in failure.evidence
        assert (
            "no node has enough free capacity"
            in self.found(pending, events=[nominated, failed]).message
        )

    def test_a_volume_that_cannot_be_provisioned(self) -> None:
        volumes = [{"name": "db", "persistentVolumeClaim": {"claimName": "db"}}]
        events = [event("PersistentVolumeClaim", "db", "ProvisioningFailed", "no permission")]
        failure = self.found(unscheduled("waiting", volumes=volumes), events=events)
        assert "no permission" in failure.evidence

    def test_pods_that_a_quota_rejects(self) -> None:
        events = [event("ReplicaSet", "hub-7", "FailedCreate", "pods is forbidden: exceeded quota")]
        assert "ResourceQuota" in self.found(events=events).message

    def test_a_starting_pod_is_no_failure(self) -> None:
        assert find_failure([pod(status=waiting("ContainerCreating"))], []) is None
        assert find_failure([], []) is None

    def test_ready_and_terminating_pods_are_ignored(self) -> None:
        ready = pod(status={**waiting("x"), "conditions": [{"type": "Ready", "status": "True"}]})
        terminating = pod(status=waiting("ImagePullBackOff"))
        terminating["metadata"]["deletionTimestamp"] = OLD
        assert find_failure([ready, terminating], []) is None

    def test_evidence_is_truncated(self) -> None:
        failure = self.found(pod(status=waiting("ErrImagePull", "x" * 5000)))
        assert len(failure.evidence) <= 600
