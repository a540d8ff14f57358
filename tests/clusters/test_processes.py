"""Pods whose containers are local processes: started, restarted and stopped as by kubelet."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import psutil
import pytest

from jarkkit.sandbox.cluster_host import POD_IDENTITY
from jarkkit.sandbox.controllers import pod_identity
from jarkkit.sandbox.reaper import processes_of
from tests.support.cluster_objects import create_node_group, node_group_status
from tests.support.clusters import NAME, RehearsalCluster
from tests.support.poll import wait_for

KARPENTER = "public.ecr.aws/karpenter/controller:1.14.0"


@pytest.fixture(scope="module")
def node(cluster: RehearsalCluster) -> None:
    """A managed node group for the pods."""
    create_node_group(cluster, "for-processes")
    wait_for(lambda: node_group_status(cluster, "for-processes") == "ACTIVE", 120)


def pod(cluster: RehearsalCluster, namespace: str, **container: Any) -> str:
    """Create a pod of Karpenter's image without permissions; return its path."""
    spec = {"containers": [{"name": "controller", "image": KARPENTER, **container}]}
    path = f"/api/v1/namespaces/{namespace}/pods"
    cluster.api.create(path, {"metadata": {"name": "lonely"}, "spec": spec})
    return f"{path}/lonely"


def container_status(cluster: RehearsalCluster, path: str) -> dict[str, Any]:
    """Return the container's status."""
    statuses = cluster.api.get(path).get("status", {}).get("containerStatuses") or [{}]
    return dict(statuses[0])


def waiting_state(cluster: RehearsalCluster, path: str) -> dict[str, str]:
    """Return why the container does not run; empty when it runs."""
    return dict(container_status(cluster, path).get("state", {}).get("waiting") or {})


@pytest.mark.usefixtures("node")
class TestPods:
    def test_a_container_whose_process_fails_is_in_crash_loop_back_off(
        self, cluster: RehearsalCluster, namespace: str
    ) -> None:
        path = pod(cluster, namespace, env=[{"name": "CLUSTER_NAME", "value": NAME}])
        wait_for(lambda: container_status(cluster, path).get("restartCount", 0) >= 2, 120)
        wait_for(lambda: waiting_state(cluster, path).get("reason") == "CrashLoopBackOff")
        seen = container_status(cluster, path)
        assert seen["lastState"]["terminated"]["exitCode"] != 0
        assert not seen["ready"]

    def test_a_container_starts_once_its_missing_secret_exists(
        self, cluster: RehearsalCluster, namespace: str
    ) -> None:
        secret = {"secretKeyRef": {"name": "late", "key": "key"}}
        path = pod(cluster, namespace, env=[{"name": "KEY", "valueFrom": secret}])
        reason = "CreateContainerConfigError"
        wait_for(lambda: waiting_state(cluster, path).get("reason") == reason)
        assert 'secret "late" not found' in waiting_state(cluster, path)["message"]
        made = {"metadata": {"name": "late"}, "stringData": {"key": "x"}}
        cluster.api.create(f"/api/v1/namespaces/{namespace}/secrets", made)
        wait_for(
            lambda: (
                container_status(cluster, path).get("started")
                or container_status(cluster, path)["restartCount"]
            )
        )

    def test_the_process_ends_with_its_deleted_pod(
        self, cluster: RehearsalCluster, namespace: str
    ) -> None:
        path = pod(cluster, namespace)
        uid = cluster.api.get(path)["metadata"]["uid"]
        wait_for(lambda: pod_processes(cluster, uid))
        cluster.api.delete(path)
        wait_for(lambda: cluster.api.find(path) is None)
        assert not pod_processes(cluster, uid)
        assert not (cluster.folder / "pods" / uid).exists()


def pod_processes(cluster: RehearsalCluster, uid: str) -> list[psutil.Process]:
    """Return the processes of a pod."""
    return [
        p for p in processes_of(str(cluster.running.home)) if uid in p.environ().get("HOME", "")
    ]


class TestPodIdentity:
    def token(self, cluster: RehearsalCluster, namespace: str, audience: str) -> str:
        spec = {"audiences": [audience], "expirationSeconds": 600}
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token"
        return str(cluster.api.create(path, asked)["status"]["token"])

    def ask(self, cluster: RehearsalCluster, token: str) -> tuple[int, dict[str, str]]:
        """Return the answer of the Pod Identity agent on the nodes."""
        url = f"{cluster.running.endpoint}{POD_IDENTITY}{cluster.folder.name}/v1/credentials"
        request = urllib.request.Request(url, headers={"Authorization": token})
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def trust(self, *actions: str) -> str:
        principal = {"Service": pod_identity.AUDIENCE}
        statement = {"Effect": "Allow", "Principal": principal, "Action": list(actions)}
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    def role(self, cluster: RehearsalCluster, name: str, *actions: str) -> str:
        made = cluster.client("iam").create_role(
            RoleName=name, AssumeRolePolicyDocument=self.trust(*actions)
        )
        return str(made["Role"]["Arn"])

    def test_only_a_pod_identity_association_grants_credentials(
        self, cluster: RehearsalCluster, namespace: str
    ) -> None:
        token = self.token(cluster, namespace, pod_identity.AUDIENCE)
        code, answer = self.ask(cluster, token)
        assert code == 403
        assert "no Pod Identity association" in answer["message"]
        arn = self.role(cluster, f"pod-{namespace}", "sts:AssumeRole", "sts:TagSession")
        cluster.client("eks").create_pod_identity_association(
            clusterName=NAME, namespace=namespace, serviceAccount="default", roleArn=arn
        )
        code, given = self.ask(cluster, token)
        assert code == 200
        assert given["AccessKeyId"].startswith("ASIA")

    def test_a_role_that_does_not_trust_pod_identity_is_rejected(
        self, cluster: RehearsalCluster, namespace: str
    ) -> None:
        name = f"untrusting-{namespace}"
        arn = self.role(cluster, name, "sts:AssumeRole", "sts:TagSession")
        cluster.client("eks").create_pod_identity_association(
            clusterName=NAME, namespace=namespace, serviceAccount="default", roleArn=arn
        )
        cluster.client("iam").update_assume_role_policy(
            RoleName=name, PolicyDocument=self.trust("sts:AssumeRole")
        )
        code, answer = self.ask(cluster, self.token(cluster, namespace, pod_identity.AUDIENCE))
        assert (code, "does not trust" in answer["message"]) == (403, True)

    @pytest.mark.parametrize("audience", ["https://kubernetes.default.svc.cluster.local", "others"])
    def test_a_token_for_another_audience_is_rejected(
        self, cluster: RehearsalCluster, namespace: str, audience: str
    ) -> None:
        assert self.ask(cluster, self.token(cluster, namespace, audience))[0] == 403
        assert self.ask(cluster, "nonsense")[0] == 403
