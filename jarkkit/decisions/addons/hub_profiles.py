"""Builds JupyterHub's profiles from the settings: one per size and kind of node. Pure.

Format: https://jupyterhub-kubespawner.readthedocs.io/en/latest/spawner.html (`profile_list`).
"""

from __future__ import annotations

from typing import Any

from jarkkit.decisions.addons.node_pools import (
    POOL_LABEL,
    accelerator_resource,
    accelerator_vendor,
    toleration,
)
from jarkkit.settings import FAMILIES, Settings

Profile = dict[str, Any]

# Jupyter's images are pinned to a date, because such a tag never changes. The images of this date
# have the chart's JupyterHub version. CUDA 13 runs on all supported NVIDIA families.
_DATE = "2026-08-07"
IMAGES = {
    "cpu": f"quay.io/jupyter/scipy-notebook:{_DATE}",
    "nvidia": f"quay.io/jupyter/pytorch-notebook:cuda13-{_DATE}",
    # AWS publishes no notebook image with Neuron. It last published PyTorch for both Inferentia2
    # and Trainium with SDK 2.31; see https://github.com/aws-neuron/deep-learning-containers.
    "neuron": "public.ecr.aws/neuron/pytorch-training-neuronx:"
    "2.9.0-neuronx-py312-sdk2.28.0-ubuntu24.04",
}
# So each start installs the notebook server into the container, not into the home folder, in
# versions that fit the hub. The server sees the image's packages and does not change them.
_NEURON_START = (
    "python3 -m venv --system-site-packages /tmp/server"
    " && /tmp/server/bin/pip install --quiet --disable-pip-version-check"
    " jupyterhub==5.5.0 jupyterlab==4.6.2 ipykernel==7.1.0"
    " && exec /tmp/server/bin/jupyterhub-singleuser"
)
_HOME = "/home/jovyan"
# The smallest instances of all families have 4 vCPUs and 16 GiB, minus what the node itself needs.
_BESIDE_ACCELERATOR = {"cpu_guarantee": 2.0, "mem_guarantee": "10G"}
# name: vCPUs (guaranteed, limit), memory (guaranteed, limit)
_CPU = {
    "small": (1.0, 2.0, "4G", "4G"),
    "large": (4.0, 4.0, "16G", "16G"),
}


def profiles(settings: Settings) -> list[Profile]:
    """Build JupyterHub's `singleuser.profileList`. The first profile is the default."""
    pools = settings.accelerators if settings.karpenter else ()
    return [
        *(_cpu(size, settings.karpenter) for size in _CPU),
        *(_accelerated(pool.family) for pool in pools),
        *([_static_gpu(settings)] if settings.static_gpu_nodes else []),
    ]


def _cpu(size: str, karpenter: bool) -> Profile:
    guaranteed, limit, memory, memory_limit = _CPU[size]
    override: Profile = {
        "image": IMAGES["cpu"],
        "cpu_guarantee": guaranteed,
        "cpu_limit": limit,
        "mem_guarantee": memory,
        "mem_limit": memory_limit,
    }
    if karpenter:  # without Karpenter there are only the core nodes
        override["node_selector"] = {POOL_LABEL: "cpu"}
    profile = _profile(
        f"cpu-{size}",
        f"CPU, {size}",
        f"{guaranteed:g} vCPU and {memory.removesuffix('G')} GB of memory; Python for science.",
        override,
    )
    return {**profile, "default": True} if size == "small" else profile


def _accelerated(family: str) -> Profile:
    node = {"node_selector": {POOL_LABEL: family}}
    device = "accelerator" if accelerator_vendor(family) == "neuron" else "GPU"
    return _profile(
        family,
        f"{FAMILIES[family]} ({family})",
        f"One {device} on a node of this family; PyTorch. A new node takes a few minutes.",
        {**_with_accelerator(family), **node},
    )


def _static_gpu(settings: Settings) -> Profile:
    node = {"node_selector": {"jarkkit/nodes": "static-gpu"}}
    return _profile(
        "static-gpu",
        f"GPU, always on ({settings.static_gpu_instance_type})",
        "One GPU on a node that already runs; PyTorch.",
        {**_with_accelerator(settings.static_gpu_instance_type), **node},
    )


def _with_accelerator(family: str) -> Profile:
    override: Profile = {
        "image": IMAGES[accelerator_vendor(family)],
        **_BESIDE_ACCELERATOR,
        "extra_resource_guarantees": {accelerator_resource(family): "1"},
        "extra_resource_limits": {accelerator_resource(family): "1"},
        "tolerations": [toleration(family)],
    }
    if accelerator_vendor(family) == "neuron":
        # The spawner appends its own arguments after the script, as `$0`, `$1`, …
        override["extra_container_config"] = {"command": ["bash", "-c"], "workingDir": _HOME}
        override["cmd"] = [f'{_NEURON_START} "$@"', "server"]
        override["environment"] = {"HOME": _HOME}
    return override


def _profile(slug: str, title: str, description: str, override: Profile) -> Profile:
    return {
        "slug": slug,
        "display_name": title,
        "description": description,
        "kubespawner_override": override,
    }
