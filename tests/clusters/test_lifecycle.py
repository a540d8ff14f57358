"""A cluster's lifecycle: killed, restarted, saved and deleted; nothing is left of it."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from jarkkit.deployment import Deployment
from jarkkit.model.errors import JarkkitError
from jarkkit.model.events import StepEvent
from jarkkit.ports.workspace import Workspace
from jarkkit.sandbox import daemon_client
from jarkkit.sandbox.kubernetes.api import ApiError
from jarkkit.sandbox.reaper import processes_of
from jarkkit.settings import Settings
from jarkkit.steps.emptying import empty_replaced_cluster
from tests.support.access import api_with_token, response_status, token
from tests.support.account import make_client, sandbox_environment
from tests.support.clusters import (
    NAME,
    REGION,
    RehearsalCluster,
    create_cluster,
    identity_of,
    needs_programs,
    rehearsal_cluster,
    sandbox_with_cluster,
)
from tests.support.fakes.account import FakeTerraform
from tests.support.orphans import plant_orphans
from tests.support.poll import wait_for

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[RehearsalCluster]:
    """A cluster in a sandbox that the tests may kill."""
    with sandbox_with_cluster() as made:
        yield made


def processes(cluster: RehearsalCluster) -> list[psutil.Process]:
    """Return the processes that the sandbox has started."""
    return processes_of(str(cluster.running.home))


def kill(*targets: psutil.Process) -> None:
    """Kill processes (SIGKILL) and wait until they are gone."""
    for victim in targets:
        victim.send_signal(signal.SIGKILL)
    psutil.wait_procs(targets, timeout=10)


def status_of(cluster: RehearsalCluster) -> dict[str, object]:
    """Return the cluster's entry in `sandbox status`."""
    (described,) = daemon_client.status(cluster.running.home)["clusters"]
    return dict(described)


def test_the_account_reports_the_endpoint_of_the_cluster(own_cluster: RehearsalCluster) -> None:
    described = own_cluster.client("eks").describe_cluster(name=NAME)["cluster"]
    assert described["endpoint"] == own_cluster.api.endpoint
    assert own_cluster.api.is_healthy()
    assert (status_of(own_cluster)["name"], status_of(own_cluster)["state"]) == (NAME, "ready")


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_killed_component_is_restarted(own_cluster: RehearsalCluster, component: str) -> None:
    before = next(p for p in processes(own_cluster) if p.name().startswith(component))
    kill(before)

    def is_back() -> bool:
        found = [p for p in processes(own_cluster) if p.name().startswith(component)]
        return bool(found) and own_cluster.api.is_healthy()

    wait_for(is_back, 120)
    assert status_of(own_cluster)["state"] == "ready"
    # A component that dies while another one is restarted is noticed after that.
    wait_for(lambda: re.search(rf"{component}\S* died", own_cluster.log()), 30)


def test_a_killed_reaper_is_replaced(own_cluster: RehearsalCluster) -> None:
    (before,) = reapers(own_cluster)
    kill(before)
    wait_for(lambda: reapers(own_cluster))


def reapers(cluster: RehearsalCluster) -> list[psutil.Process]:
    """Return the processes that clean up after the sandbox; there is one."""
    children = psutil.Process(cluster.running.pid).children()
    return [child for child in children if "jarkkit.sandbox.reaper" in command_line(child)]


def test_the_state_survives_a_stop_and_a_start(own_cluster: RehearsalCluster) -> None:
    own_cluster.api.create("/api/v1/namespaces", {"metadata": {"name": "kept"}})
    home = own_cluster.running.home
    assert daemon_client.stop(home)
    assert processes(own_cluster) == []
    again = daemon_client.start(home)
    cluster = rehearsal_cluster(again, own_cluster.folder.name)
    assert cluster.api.endpoint == own_cluster.api.endpoint
    assert cluster.api.get("/api/v1/namespaces/kept")["metadata"]["name"] == "kept"


def test_nothing_is_left_when_the_sandbox_is_killed(own_cluster: RehearsalCluster) -> None:
    running = daemon_client.require(own_cluster.running.home)
    theirs = processes(own_cluster)
    assert len(theirs) >= len(COMPONENTS)
    ports = [c.laddr.port for p in theirs for c in p.net_connections() if c.status == "LISTEN"]
    sockets = [note.parent for note in Path(tempfile.gettempdir()).glob("jk-*/home")]
    ours = [f for f in sockets if (f / "home").read_text() == str(own_cluster.running.home)]
    assert ports
    assert ours
    kill(psutil.Process(running.pid))
    wait_for(lambda: not processes(own_cluster))
    wait_for(lambda: not any(folder.exists() for folder in ours))
    listening = {c.laddr.port for c in psutil.net_connections() if c.laddr and c.status == "LISTEN"}
    assert not listening & set(ports)
    again = daemon_client.start(own_cluster.running.home)
    assert rehearsal_cluster(again, own_cluster.folder.name).api.find("/api/v1/namespaces/kept")


def test_the_sandbox_ends_with_its_parent_process() -> None:
    needs_programs()
    home = Path(tempfile.mkdtemp(prefix="jarkkit-test-"))
    script = (
        "import sys; from pathlib import Path; from jarkkit.sandbox import daemon_client\n"
        "running = daemon_client.start(Path(sys.argv[1]))\n"
        "from tests.support.clusters import create_cluster; create_cluster(running)\n"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, str(home)], check=False)
    wait_for(lambda: not [p for p in psutil.process_iter() if str(home) in command_line(p)])
    assert processes_of(str(home)) == []
    shutil.rmtree(home)


def command_line(process: psutil.Process) -> list[str]:
    """Return a process's command line; empty when the process is gone."""
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def test_two_clusters_live_side_by_side_and_keep_their_tokens_apart(
    own_cluster: RehearsalCluster,
) -> None:
    running = daemon_client.require(own_cluster.running.home)
    cluster_id = identity_of(create_cluster(running, "second"))
    second = rehearsal_cluster(running, cluster_id, "second")
    first = rehearsal_cluster(running, own_cluster.folder.name)
    assert first.api.endpoint != second.api.endpoint
    assert api_with_token(second, token(running.env, "second")).list("/api/v1/namespaces")
    assert (
        response_status(
            lambda: api_with_token(second, token(running.env)).list("/api/v1/namespaces")
        )
        == 401
    )
    assert (
        response_status(
            lambda: api_with_token(first, token(running.env, "second")).list("/api/v1/nodes")
        )
        == 401
    )
    second.client("eks").delete_cluster(name="second")
    wait_for(lambda: not second.folder.exists())
    assert not [p for p in processes(own_cluster) if cluster_id in " ".join(p.cmdline())]
    assert first.api.is_healthy()


def test_a_cluster_that_keeps_dying_reports_why_it_failed(own_cluster: RehearsalCluster) -> None:
    running = daemon_client.require(own_cluster.running.home)
    cluster = rehearsal_cluster(running, own_cluster.folder.name)

    def has_failed() -> bool:
        for process in processes(cluster):
            if process.name().startswith("kube-scheduler"):
                kill(process)
        return status_of(cluster)["state"] == "failed"

    wait_for(has_failed, 120)
    assert "kube-scheduler died again" in str(status_of(cluster)["message"])


def test_what_a_stopped_api_server_leaves_is_never_called_proven(
    own_cluster: RehearsalCluster, tmp_path: Path
) -> None:
    """A replacement stops; a cleanup deletes what it finds, and its receipt is not proven."""
    running = daemon_client.require(own_cluster.running.home)
    cluster = rehearsal_cluster(running, own_cluster.folder.name)
    eks, ec2 = cluster.client("eks"), cluster.client("ec2")
    described = eks.describe_cluster(name=NAME)["cluster"]
    eks.tag_resource(resourceArn=described["arn"], tags={"jarkkit:deployment": NAME})
    kill(*(process for process in processes(cluster) if process.name() == "kube-apiserver"))
    with pytest.raises(ApiError):
        cluster.api.is_healthy()
    subnets = described["resourcesVpcConfig"]["subnetIds"]
    vpc = ec2.describe_subnets(SubnetIds=subnets)["Subnets"][0]["VpcId"]
    deployment = existing_deployment(tmp_path, running, vpc, subnets, described)
    planted = plant_orphans(cluster.client, NAME, subnets)
    layer, connect = deployment._layer(), deployment._connect(retry_seconds=1.0)
    assert connect is not None
    deployment._connecting = connect

    with pytest.raises(JarkkitError, match="JK-CLUSTER-NOT-EMPTIED") as caught:
        list(empty_replaced_cluster(layer, connect, allow_orphans=False))
    (volume,) = [identity for kind, identity in planted if kind == "aws_ebs_volume"]
    assert f"aws_ebs_volume {volume}" in caught.value.evidence
    assert eks.describe_cluster(name=NAME)["cluster"]["status"] == "ACTIVE"

    list(deployment.cleanup(confirm=NAME))
    receipt = deployment.last_receipt()
    assert receipt is not None
    assert receipt.left == ()
    assert receipt.not_emptied
    assert not receipt.clean
    assert "not proven that nothing is left: the cluster was not emptied" in receipt.verdict


def existing_deployment(
    folder: Path,
    running: daemon_client.RunningSandbox,
    vpc: str,
    subnets: list[str],
    described: dict[str, Any],
) -> Deployment:
    """Return a deployment in an existing VPC whose Terraform knows the cluster, and deletes it."""
    workspace = Workspace(folder / "deployments" / NAME)
    settings = Settings(name=NAME, region=REGION, vpc_id=vpc, private_subnet_ids=tuple(subnets))
    workspace.create(settings, rehearsal=True)
    (workspace.folder / ".terraform").mkdir()
    state = ["module.cluster.aws_eks_cluster.this"]
    terraform = ClusterTerraform(workspace.folder, planned=(), state=state)
    terraform.described, terraform.eks = described, make_client(running, "eks", REGION)
    environ = sandbox_environment(running)
    return Deployment(workspace, environ, terraform=terraform)  # type: ignore[arg-type]


class ClusterTerraform(FakeTerraform):
    """A Terraform with one cluster in its state, which it deletes when it applies."""

    described: dict[str, Any]
    eks: Any

    def outputs(self) -> dict[str, Any]:
        authority = self.described["certificateAuthority"]["data"]
        return {
            **super().outputs(),
            "cluster_name": NAME,
            "cluster_endpoint": self.described["endpoint"],
            "cluster_certificate_authority": authority,
        }

    def apply(self, file: str) -> Iterator[StepEvent]:
        if file == "destroy.tfplan":
            self.eks.delete_cluster(name=NAME)
        yield from super().apply(file)
