"""Pods that processes play: as kubelet would, when all is well and when it is not."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import psutil
import pytest

from jarkkit.sandbox.clusters import POD_IDENTITY
from jarkkit.sandbox.eks import pod_identity
from jarkkit.sandbox.guard import processes_of
from tests.clusters.conftest import NAME, World, wait_for
from tests.clusters.test_nodes import node_group, status

KARPENTER = "public.ecr.aws/karpenter/controller:1.14.0"


@pytest.fixture(scope="module")
def node(world: World) -> None:
    """Somewhere to run."""
    node_group(world, "for-processes")
    wait_for(lambda: status(world, "for-processes") == "ACTIVE", 120)


def pod(world: World, namespace: str, **container: Any) -> str:
    """A pod of Karpenter's image that nobody gave permissions; its path."""
    spec = {"containers": [{"name": "controller", "image": KARPENTER, **container}]}
    path = f"/api/v1/namespaces/{namespace}/pods"
    world.api.create(path, {"metadata": {"name": "lonely"}, "spec": spec})
    return f"{path}/lonely"


def state(world: World, path: str) -> dict[str, Any]:
    """The container's status."""
    statuses = world.api.get(path).get("status", {}).get("containerStatuses") or [{}]
    return dict(statuses[0])


def waiting(world: World, path: str) -> dict[str, str]:
    """Why the container does not run; empty when it does."""
    return dict(state(world, path).get("state", {}).get("waiting") or {})


@pytest.mark.usefixtures("node")
class TestPods:
    def test_one_that_cannot_work_crashes_again_and_again(
        self, world: World, namespace: str
    ) -> None:
        path = pod(world, namespace, env=[{"name": "CLUSTER_NAME", "value": NAME}])
        wait_for(lambda: state(world, path).get("restartCount", 0) >= 2, 120)
        wait_for(lambda: waiting(world, path).get("reason") == "CrashLoopBackOff")
        seen = state(world, path)
        assert seen["lastState"]["terminated"]["exitCode"] != 0
        assert not seen["ready"]

    def test_a_missing_secret_is_waited_for(self, world: World, namespace: str) -> None:
        secret = {"secretKeyRef": {"name": "late", "key": "key"}}
        path = pod(world, namespace, env=[{"name": "KEY", "valueFrom": secret}])
        reason = "CreateContainerConfigError"
        wait_for(lambda: waiting(world, path).get("reason") == reason)
        assert 'secret "late" not found' in waiting(world, path)["message"]
        made = {"metadata": {"name": "late"}, "stringData": {"key": "x"}}
        world.api.create(f"/api/v1/namespaces/{namespace}/secrets", made)
        wait_for(lambda: state(world, path).get("started") or state(world, path)["restartCount"])

    def test_a_deleted_one_takes_its_process_with_it(self, world: World, namespace: str) -> None:
        path = pod(world, namespace)
        uid = world.api.get(path)["metadata"]["uid"]
        wait_for(lambda: played(world, uid))
        world.api.delete(path)
        wait_for(lambda: world.api.find(path) is None)
        assert not played(world, uid)
        assert not (world.folder / "pods" / uid).exists()


def played(world: World, uid: str) -> list[psutil.Process]:
    """The processes of a pod."""
    return [p for p in processes_of(str(world.running.home)) if uid in p.environ().get("HOME", "")]


class TestPodIdentity:
    def token(self, world: World, namespace: str, audience: str) -> str:
        spec = {"audiences": [audience], "expirationSeconds": 600}
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token"
        return str(world.api.create(path, asked)["status"]["token"])

    def ask(self, world: World, token: str) -> tuple[int, dict[str, str]]:
        """What the agent of the nodes answers."""
        url = f"{world.running.endpoint}{POD_IDENTITY}{world.folder.name}/v1/credentials"
        request = urllib.request.Request(url, headers={"Authorization": token})
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def role(self, world: World, name: str, *actions: str) -> str:
        principal = {"Service": pod_identity.AUDIENCE}
        statement = {"Effect": "Allow", "Principal": principal, "Action": list(actions)}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        made = world.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust)
        return str(made["Role"]["Arn"])

    def test_credentials_come_by_association_only(self, world: World, namespace: str) -> None:
        token = self.token(world, namespace, pod_identity.AUDIENCE)
        code, said = self.ask(world, token)
        assert code == 403
        assert "no Pod Identity association" in said["message"]
        arn = self.role(world, f"pod-{namespace}", "sts:AssumeRole", "sts:TagSession")
        world.client("eks").create_pod_identity_association(
            clusterName=NAME, namespace=namespace, serviceAccount="default", roleArn=arn
        )
        code, given = self.ask(world, token)
        assert code == 200
        assert given["AccessKeyId"].startswith("ASIA")

    def test_a_role_that_does_not_trust_pods_is_refused(self, world: World, namespace: str) -> None:
        arn = self.role(world, f"untrusting-{namespace}", "sts:AssumeRole")
        world.client("eks").create_pod_identity_association(
            clusterName=NAME, namespace=namespace, serviceAccount="default", roleArn=arn
        )
        code, said = self.ask(world, self.token(world, namespace, pod_identity.AUDIENCE))
        assert (code, "does not trust" in said["message"]) == (403, True)

    @pytest.mark.parametrize("audience", ["https://kubernetes.default.svc.cluster.local", "others"])
    def test_other_tokens_are_refused(self, world: World, namespace: str, audience: str) -> None:
        assert self.ask(world, self.token(world, namespace, audience))[0] == 403
        assert self.ask(world, "nonsense")[0] == 403
