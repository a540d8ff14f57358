"""What a notebook's pod can reach: never another notebook, the metadata service or the file system.

The network policies are those of the JupyterHub add-on, in the test's own namespace. On a real
cluster the containers connect; in the sandbox the annotation `connects-to` names the same target.
"""

from __future__ import annotations

import copy

import pytest

from jarkkit.catalog.addons import addon_catalog
from jarkkit.decisions.addons.enabled_addons import resolve
from jarkkit.settings import Settings
from tests.contract.cluster import Cluster, LiveObject, Object, ScratchNamespace
from tests.contract.manifests import pod, shell
from tests.support.cluster_objects import create_node_group, nodes_in_group
from tests.support.clusters import NAME, RehearsalCluster
from tests.support.file_systems import put_policy
from tests.support.poll import wait_for

NOTEBOOK = {"component": "singleuser-server"}
HUB = {"component": "hub"}
JARKKIT_NODE = {"jarkkit/nodes": "core"}
# The CNI's agent applies the policies to a new pod within seconds.
WAIT = "sleep 20; "
SERVE = "mkdir /tmp/w; echo ok > /tmp/w/index.html; httpd -f -p 8888 -h /tmp/w"
REQUEST_TOKEN = (
    r"printf 'PUT /latest/api/token HTTP/1.0\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n\r\n'"
    " | nc -w 5 169.254.169.254 80 | grep -q ' 200 '"
)


@pytest.fixture
def notebooks(namespace: ScratchNamespace, network_policies: None) -> ScratchNamespace:
    """A namespace with the network policies of notebooks."""
    for found in resolve(addon_catalog()["jupyterhub"], Settings(), addon_catalog()).before:
        if isinstance(found, dict) and found["kind"] == "NetworkPolicy":
            made = copy.deepcopy(found)
            del made["metadata"]["namespace"]
            namespace.create(made)
    return namespace


def start(
    namespace: ScratchNamespace, name: str, labels: dict[str, str], script: str, **more: str
) -> LiveObject:
    """Create a pod that runs a script once; `connects_to`: what the script connects to."""
    notes = {key.replace("_", "-"): value for key, value in more.items()}
    made = pod(name, shell(script), annotations=notes, restartPolicy="Never")
    made["metadata"]["labels"] |= labels
    made["spec"]["nodeSelector"] = JARKKIT_NODE
    return namespace.create(made)


def succeeds(created: LiveObject) -> bool:
    """Wait until the pod has ended; return whether its script succeeded."""
    phase = wait_for(lambda: {"Succeeded": "yes", "Failed": "no"}.get(created.status["phase"]), 120)
    return phase == "yes"


@pytest.fixture
def server(notebooks: ScratchNamespace, core_node: Object) -> str:
    """The address of another learner's notebook server."""
    made = pod("other-notebook", shell(SERVE))
    made["metadata"]["labels"] |= NOTEBOOK
    made["spec"]["nodeSelector"] = JARKKIT_NODE
    created = notebooks.create(made)
    wait_for(lambda: created.condition("Ready")["status"] == "True")
    return str(created.status["podIP"])


def test_a_notebook_does_not_reach_another_notebook(
    notebooks: ScratchNamespace, server: str
) -> None:
    script = f"{WAIT}wget -q -T 5 -O- http://{server}:8888/"
    target = {"connects_to": f"tcp://{server}:8888"}
    learner = start(notebooks, "learner", NOTEBOOK, script, **target)
    hub = start(notebooks, "hub", HUB, script, **target)
    assert not succeeds(learner)
    assert succeeds(hub)  # the server is there


@pytest.mark.parametrize("labels", [NOTEBOOK, {"app": "workflow"}])
def test_no_pod_gets_a_token_of_the_metadata_service(
    notebooks: ScratchNamespace, core_node: Object, labels: dict[str, str]
) -> None:
    # The second pod has no network policy: the hop limit of its node alone protects it.
    script = WAIT + REQUEST_TOKEN
    assert not succeeds(start(notebooks, "curious", labels, script, connects_to="metadata"))


def test_a_notebook_does_not_reach_the_file_system(
    notebooks: ScratchNamespace, core_node: Object, mount_target: str
) -> None:
    script = f"{WAIT}nc -z -w 5 {mount_target} 2049"
    target = f"tcp://{mount_target}:2049"
    assert not succeeds(start(notebooks, "learner", NOTEBOOK, script, connects_to=target))
    # Other pods do, because pods have the security group of their node.
    assert succeeds(start(notebooks, "workflow", {"app": "workflow"}, script, connects_to=target))


def test_the_file_system_refuses_an_nfs_client_without_the_drivers_role(
    notebooks: ScratchNamespace, core_node: Object, sandbox_file_system: str
) -> None:
    target = {"connects_to": f"nfs://{sandbox_file_system}"}
    raw_client = start(notebooks, "workflow", {"app": "workflow"}, "false", **target)
    assert not succeeds(raw_client)


# -- what the tests need ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network_policies(cluster: Cluster) -> None:
    """A CNI that enforces network policies."""
    if cluster.sandbox:
        eks = cluster.sandbox.client("eks")
        values = '{"enableNetworkPolicy": "true"}'
        eks.create_addon(clusterName=NAME, addonName="vpc-cni", configurationValues=values)
        wait_for(lambda: _is_enforced(cluster), 60)
    if not _is_enforced(cluster):
        pytest.skip("the VPC CNI does not enforce network policies")


def _is_enforced(cluster: Cluster) -> bool:
    found = cluster.find("DaemonSet", "aws-node", "apps/v1", namespace="kube-system")
    containers = found["spec"]["template"]["spec"]["containers"] if found else ()
    return any("--enable-network-policy=true" in (c.get("args") or ()) for c in containers)


@pytest.fixture(scope="module")
def core_node(cluster: Cluster) -> Object:
    """A node with the launch template of our core nodes."""
    if cluster.sandbox:
        _create_core_nodes(cluster.sandbox)
    for found in cluster.all("Node", label_selector="jarkkit/nodes=core"):
        return found
    pytest.skip("not a cluster of jarkkit: no core node")


def _create_core_nodes(sandbox: RehearsalCluster) -> None:
    options = {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    template = sandbox.client("ec2").create_launch_template(
        LaunchTemplateName="core", LaunchTemplateData={"MetadataOptions": options}
    )["LaunchTemplate"]
    create_node_group(
        sandbox,
        "core",
        1,
        labels=JARKKIT_NODE,
        launchTemplate={"id": template["LaunchTemplateId"], "version": "1"},
    )
    wait_for(lambda: nodes_in_group(sandbox, "core"), 60)


@pytest.fixture(scope="module")
def sandbox_file_system(cluster: Cluster) -> str:
    """A file system with the policy of our Terraform module and one mount target."""
    if cluster.sandbox is None:
        pytest.skip("creates a file system in the account")
    efs, ec2 = cluster.sandbox.client("efs"), cluster.sandbox.client("ec2")
    system = str(efs.create_file_system(CreationToken="isolation")["FileSystemId"])
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    efs.create_mount_target(FileSystemId=system, SubnetId=subnet)
    put_policy(efs, system, "arn:aws:iam::123456789012:role/efs-csi-node")
    return system


@pytest.fixture(scope="module")
def mount_target(cluster: Cluster, request: pytest.FixtureRequest) -> str:
    """The address of a mount target."""
    system = request.getfixturevalue("sandbox_file_system")
    assert cluster.sandbox
    found = cluster.sandbox.client("efs").describe_mount_targets(FileSystemId=system)
    return str(found["MountTargets"][0]["IpAddress"])
