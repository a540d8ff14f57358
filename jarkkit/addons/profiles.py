"""What JupyterHub offers its users: one profile per size and kind of node, from the settings. Pure.

Format: https://jupyterhub-kubespawner.readthedocs.io/en/latest/spawner.html (`profile_list`).
"""

from __future__ import annotations

from typing import Any

from jarkkit.addons.pools import POOL, maker, resource, toleration
from jarkkit.settings import FAMILIES, Settings

Profile = dict[str, Any]

# Jupyter's own images carry no `latest` here: a tag with a date never changes. This date's have
# the JupyterHub that the chart brings. CUDA 13 runs on all NVIDIA families that can be chosen.
_DATE = "2026-08-07"
IMAGES = {
    "cpu": f"quay.io/jupyter/scipy-notebook:{_DATE}",
    "nvidia": f"quay.io/jupyter/pytorch-notebook:cuda13-{_DATE}",
    # AWS publishes no notebook image with Neuron. PyTorch for both Inferentia2 and Trainium was
    # last published with SDK 2.31; see https://github.com/aws-neuron/deep-learning-containers.
    "neuron": "public.ecr.aws/neuron/pytorch-training-neuronx:"
    "2.9.0-neuronx-py312-sdk2.28.0-ubuntu24.04",
}
# So the server is put beside it at each start, into the container and not into the home folder,
# in versions that fit the hub; it sees the image's packages and leaves them as they are.
_NEURON_START = (
    "python3 -m venv --system-site-packages /tmp/server"
    " && /tmp/server/bin/pip install --quiet --disable-pip-version-check"
    " jupyterhub==5.5.0 jupyterlab==4.6.2 ipykernel==7.1.0"
    " && exec /tmp/server/bin/jupyterhub-singleuser"
)
_HOME = "/home/jovyan"
# The smallest instances of all families have 4 vCPUs and 16 GiB, less what the node itself needs.
_BESIDE_ACCELERATOR = {"cpu_guarantee": 2.0, "mem_guarantee": "10G"}
# name: guaranteed and at most, vCPUs and memory
_CPU = {
    "small": (1.0, 2.0, "4G", "4G"),
    "large": (4.0, 4.0, "16G", "16G"),
}


def profiles(settings: Settings) -> list[Profile]:
    """JupyterHub's `singleuser.profileList`. The first is the one that is chosen beforehand."""
    pools = settings.accelerators if settings.karpenter else ()
    return [
        *(_cpu(size, settings.karpenter) for size in _CPU),
        *(_accelerated(pool.family) for pool in pools),
        *([_static_gpu(settings)] if settings.static_gpu_nodes else []),
    ]


def _cpu(size: str, karpenter: bool) -> Profile:
    guaranteed, most, memory, memory_most = _CPU[size]
    override: Profile = {
        "image": IMAGES["cpu"],
        "cpu_guarantee": guaranteed,
        "cpu_limit": most,
        "mem_guarantee": memory,
        "mem_limit": memory_most,
    }
    if karpenter:  # without it there are the core nodes alone
        override["node_selector"] = {POOL: "cpu"}
    made = _profile(
        f"cpu-{size}",
        f"CPU, {size}",
        f"{guaranteed:g} vCPU and {memory.removesuffix('G')} GB of memory; Python for science.",
        override,
    )
    return {**made, "default": True} if size == "small" else made


def _accelerated(family: str) -> Profile:
    node = {"node_selector": {POOL: family}}
    what = "accelerator" if maker(family) == "neuron" else "GPU"
    return _profile(
        family,
        f"{FAMILIES[family]} ({family})",
        f"One {what} on a node of its own family; PyTorch. A new node takes some minutes.",
        {**_with_accelerator(family), **node},
    )


def _static_gpu(settings: Settings) -> Profile:
    node = {"node_selector": {"jarkkit/nodes": "static-gpu"}}
    return _profile(
        "static-gpu",
        f"GPU, always there ({settings.static_gpu_instance_type})",
        "One GPU of a node that is running already; PyTorch.",
        {**_with_accelerator(settings.static_gpu_instance_type), **node},
    )


def _with_accelerator(family: str) -> Profile:
    made: Profile = {
        "image": IMAGES[maker(family)],
        **_BESIDE_ACCELERATOR,
        "extra_resource_guarantees": {resource(family): "1"},
        "extra_resource_limits": {resource(family): "1"},
        "tolerations": [toleration(family)],
    }
    if maker(family) == "neuron":
        # The spawner puts what it adds to the command behind the script, as its `$0`, `$1`, …
        made["extra_container_config"] = {"command": ["bash", "-c"], "workingDir": _HOME}
        made["cmd"] = [f'{_NEURON_START} "$@"', "server"]
        made["environment"] = {"HOME": _HOME}
    return made


def _profile(slug: str, title: str, description: str, override: Profile) -> Profile:
    return {
        "slug": slug,
        "display_name": title,
        "description": description,
        "kubespawner_override": override,
    }
