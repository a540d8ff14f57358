"""Why kubelet does not start a pod's containers."""

from __future__ import annotations

import pytest

from jarkkit.decisions.cluster.container_start import not_started
from jarkkit.decisions.cluster.pod_failures import find_failure
from tests.support.pods import event, pod, waiting

CREATING = pod(status=waiting("ContainerCreating"))


@pytest.mark.parametrize(
    ("reason", "message", "words", "advice"),
    [
        ("FailedCreatePodSandBox",
         'plugin type="aws-cni" failed (add): add cmd: failed to assign an IP address to container',
         "no free address", "subnet"),
        ("FailedCreatePodSandBox",
         "network: cni plugin not initialized", "does not set up its network", "aws-node"),
        ("FailedCreatePodSandBox",
         'failed to get sandbox runtime: no runtime for "nvidia" is configured', "runtime", "GPU"),
        ("FailedMount",
         'Output: Failed to resolve "fs-0123.efs.us-west-2.amazonaws.com" - check that your file '
         "system ID is correct", "resolve", "DNS hostnames"),
        ("FailedMount", "mount.nfs4: Connection timed out", "cannot reach", "2049"),
        ("FailedMount", "mount.nfs4: access denied by server", "denies access", "tls and iam"),
        ("FailedMount",
         "driver name efs.csi.aws.com not found in the list of registered CSI drivers",
         "does not run on its node", "node pod"),
        ("FailedMount", 'MountVolume.SetUp failed: secret "hf" not found', "Secret", "Create"),
        ("FailedAttachVolume",
         'Multi-Attach error for volume "pvc-1" Volume is already exclusively attached to one node',
         "another node", "six minutes"),
        ("FailedAttachVolume",
         "AttachVolume.Attach failed: api error InvalidVolume.NotFound: The volume does not exist",
         "does not exist any more", "snapshot"),
        ("FailedMount", "the kubelet is unhappy", "FailedMount", "does not know this message"),
    ],
)  # fmt: skip
def test_the_warning_is_quoted_and_explained(
    reason: str, message: str, words: str, advice: str
) -> None:
    failure = find_failure([CREATING], [event("Pod", "hub-1", reason, message)])
    assert failure is not None
    assert words in failure.message
    assert advice in failure.fix
    assert message[:60] in failure.evidence


def test_the_newest_precise_warning_counts() -> None:
    events = [
        event("Pod", "hub-1", "FailedMount", 'secret "old" not found'),
        event("Pod", "hub-1", "FailedMount", 'configmap "new" not found'),
        event("Pod", "hub-1", "FailedMount", "Unable to attach or mount volumes: timed out"),
        event("Pod", "other", "FailedMount", "of another pod"),
    ]
    failure = not_started(CREATING, events)
    assert failure is not None
    assert failure.evidence == 'FailedMount: configmap "new" not found'


def test_a_warning_that_has_passed_is_ignored() -> None:
    running = {"containerStatuses": [{"name": "hub", "image": "x", "state": {"running": {}}}]}
    events = [event("Pod", "hub-1", "FailedMount", "mount.nfs4: Connection timed out")]
    assert not_started(pod(status=running), events) is None
    assert not_started(pod(node=""), events) is None


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("Evicted", "short of"),
        ("UnexpectedAdmissionError", "device plugin"),
        ("OutOfcpu", "too little left"),
        ("NodeLost", "delete this one"),
    ],
)
def test_a_pod_that_kubelet_ended(reason: str, advice: str) -> None:
    status = {"phase": "Failed", "reason": reason, "message": "The node was low on disk."}
    failure = find_failure([pod(status=status)], [])
    assert failure is not None
    assert reason in failure.message
    assert advice in failure.fix
    assert "low on disk" in failure.evidence
