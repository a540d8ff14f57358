"""Manifests of other kits, and what they become."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from jarkkit.decisions.addons.node_pools import node_pools
from jarkkit.decisions.cluster.supply import matches_labels, not_tolerated, required_labels
from jarkkit.decisions.foreign_manifests import Conversion, convert
from jarkkit.settings import Accelerator, Settings

SETTINGS = Settings(accelerators=(Accelerator(family="g5"),))

RAY_SERVICE = """
apiVersion: ray.io/v1alpha1
kind: RayService
metadata: {name: dogbooth}
spec:
  serviceUnhealthySecondThreshold: 900
  serveConfig:
    importPath: dogbooth:entrypoint
    runtimeEnv: |
      env_vars: {MODEL: x}
    deployments:
    - name: stable-diffusion-v2
      numReplicas: 1
      rayActorOptions: {numGpus: 1, numCpus: 4}
  rayClusterConfig:
    headGroupSpec:
      rayStartParams: {num-cpus: 0, dashboard-host: 0.0.0.0}
      template:
        spec:
          nodeSelector: {NodeGroupType: x86-cpu-karpenter, type: karpenter}
          containers: [{name: head, image: ray, resources: {limits: {cpu: 1}}}]
    workerGroupSpecs:
    - groupName: gpu
      rayStartParams: {}
      template:
        spec:
          nodeSelector: {NodeGroupType: g5-gpu-karpenter, type: karpenter}
          containers: [{name: worker, image: ray, resources: {limits: {nvidia.com/gpu: 1}}}]
"""

PROFILES = """
singleuser:
  profileList:
  - display_name: Trainium
    kubespawner_override:
      node_selector: {NodePool: trainium-trn1, hub.jupyter.org/node-purpose: user}
      extra_resource_limits: {aws.amazon.com/neurondevice: "1"}
  - display_name: Small
    kubespawner_override:
      node_selector: {NodePool: default}
"""


def converted(text: str) -> Conversion:
    return convert(list(yaml.safe_load_all(text)), SETTINGS)


def test_the_ray_service_of_jark_becomes_one_that_runs_here() -> None:
    done = converted(RAY_SERVICE)
    (service,) = done.documents
    assert service["apiVersion"] == "ray.io/v1"
    assert "serviceUnhealthySecondThreshold" not in service["spec"]
    (application,) = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]
    assert application["import_path"] == "dogbooth:entrypoint"
    assert application["runtime_env"] == {"env_vars": {"MODEL": "x"}}
    (deployment,) = application["deployments"]
    assert deployment["num_replicas"] == 1
    assert deployment["ray_actor_options"] == {"num_gpus": 1, "num_cpus": 4}
    cluster = service["spec"]["rayClusterConfig"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        keep = group["template"]["metadata"]["annotations"]
        assert keep == {"karpenter.sh/do-not-disrupt": "true"}
        pod = {"spec": group["template"]["spec"]}
        pools = [p for p in node_pools(SETTINGS) if matches_labels(p, required_labels(pod))]
        assert pools
        assert not not_tolerated(pod, pools[0])
    head = cluster["headGroupSpec"]["template"]["spec"]["nodeSelector"]
    worker = cluster["workerGroupSpecs"][0]["template"]["spec"]["nodeSelector"]
    assert (head, worker) == ({"jarkkit/pool": "cpu"}, {"jarkkit/pool": "g5"})
    assert any("g5-gpu-karpenter" in line for line in done.changes)


def test_profiles_of_jupyterhub() -> None:
    done = converted(PROFILES)
    trainium, small = done.documents[0]["singleuser"]["profileList"]
    override = trainium["kubespawner_override"]
    assert override["node_selector"] == {"jarkkit/pool": "trn1"}
    assert override["extra_resource_limits"] == {"aws.amazon.com/neuron": "1"}
    assert override["tolerations"][0]["key"] == "aws.amazon.com/neuron"
    assert small["kubespawner_override"]["node_selector"] == {"jarkkit/pool": "cpu"}
    assert any("{family: trn1} to accelerators" in line for line in done.remarks)


@pytest.mark.parametrize(
    ("selector", "becomes"),
    [
        ({"NodePool": "gpu-mig"}, {"accelerator": "nvidia"}),
        ({"karpenter.sh/nodepool": "p5-nodes"}, {"jarkkit/pool": "p5"}),
        ({"node.kubernetes.io/instance-type": "g6e.12xlarge"}, {"jarkkit/pool": "g6e"}),
        ({"NodeGroupType": "core"}, {"jarkkit/nodes": "core"}),
        ({"provisioner": "default"}, None),
        ({"jarkkit/pool": "g5"}, {"jarkkit/pool": "g5"}),
        ({"kubernetes.io/arch": "amd64", "type": "karpenter"}, {"kubernetes.io/arch": "amd64"}),
    ],
)
def test_each_label_has_its_counterpart(selector: Any, becomes: Any) -> None:
    pod = {"kind": "Pod", "spec": {"nodeSelector": selector, "containers": [{"name": "a"}]}}
    assert convert([pod], SETTINGS).documents[0]["spec"].get("nodeSelector") == becomes
    assert pod["spec"] == {"nodeSelector": selector, "containers": [{"name": "a"}]}


def test_a_gpu_pod_without_a_toleration_gets_it() -> None:
    limits = {"resources": {"limits": {"nvidia/gpu": 1}}}
    pod = {"kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": [limits]}}
    spec = convert([pod], SETTINGS).documents[0]["spec"]
    assert spec["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": 1}
    assert spec["tolerations"][0]["key"] == "nvidia.com/gpu"


def test_what_cannot_be_converted_is_a_remark() -> None:
    pool = {"kind": "NodePool", "metadata": {"name": "gpu"}, "spec": {}}
    mig = {"resources": {"limits": {"nvidia.com/mig-1g.5gb": 1}}}
    pod = {"kind": "Pod", "spec": {"nodeSelector": {"rack": "7"}, "containers": [mig]}}
    done = convert([pool, pod, None], SETTINGS)
    assert len(done.documents) == 1
    assert any("left out" in line for line in done.remarks)
    assert any("no MIG" in line for line in done.remarks)
    assert any("label rack" in line for line in done.remarks)
    assert yaml.safe_load(done.text()) == done.documents[0]
