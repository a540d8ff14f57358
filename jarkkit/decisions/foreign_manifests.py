"""Converts manifests of other kits (JARK, ai-on-eks, data-on-eks) to jarkkit's node pools. Pure.

Labels and taints there: https://github.com/awslabs/ai-on-eks/tree/main/infra and
https://github.com/awslabs/data-on-eks; here: `decisions/addons/node_pools.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import yaml

from jarkkit.decisions.addons.node_pools import (
    ACCELERATOR_LABEL,
    CORE_LABELS,
    POOL_LABEL,
    accelerator_resource,
    toleration,
)
from jarkkit.decisions.diagnosis.custom_resources import DO_NOT_DISRUPT
from jarkkit.settings import FAMILIES, Settings

Object = dict[str, Any]

# Labels of nodes in those kits. Their values name the pool.
_POOL_LABELS = (
    "NodeGroupType", "NodePool", "nodegroup", "node-group", "workload", "instanceType",
    "karpenter.sh/nodepool", "karpenter.sh/provisioner-name",
    "node.kubernetes.io/instance-type", "karpenter.k8s.aws/instance-family",
    "beta.kubernetes.io/instance-type", "eks.amazonaws.com/nodegroup",
    "nvidia.com/gpu.present", "k8s.amazonaws.com/accelerator",
)  # fmt: skip
# Labels that say nothing about the pool.
_DROPPED = ("type", "provisioner", "hub.jupyter.org/node-purpose", "app", "team")
_RESOURCES = {
    "nvidia/gpu": "nvidia.com/gpu",
    "nvidia.com/gpus": "nvidia.com/gpu",
    "aws.amazon.com/neurondevice": "aws.amazon.com/neuron",
}
_FAMILY = re.compile(
    r"(?<![a-z0-9])(" + "|".join(sorted(FAMILIES, key=len, reverse=True)) + r")(?![a-z0-9])"
)
_KNOWN_LABELS = ("kubernetes.io/", "topology.", "karpenter.", "jarkkit/")
_SELECTORS = ("nodeSelector", "node_selector")
_FOREIGN_KINDS = ("NodePool", "EC2NodeClass", "Provisioner", "AWSNodeTemplate")


@dataclass
class Conversion:
    """The converted documents, and what was done.

    Attributes:
        changes: what was changed, one line each.
        remarks: what you must do or decide yourself.
    """

    documents: list[Any] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return the documents as YAML."""
        return yaml.safe_dump_all(self.documents, sort_keys=False, allow_unicode=True, width=100)

    def change(self, where: str, words: str) -> None:
        """Record a change once."""
        _add(self.changes, f"{where}: {words}")

    def remark(self, where: str, words: str) -> None:
        """Record a remark once."""
        _add(self.remarks, f"{where}: {words}")


def convert(documents: list[Any], settings: Settings) -> Conversion:
    """Return the documents as the deployment's node pools need them.

    Args:
        documents: Kubernetes objects, or Helm values of JupyterHub with a profile list.
    """
    done = Conversion()
    for document in documents:
        if not isinstance(document, dict):
            continue
        item = deepcopy(document)
        where = _named(item)
        if item.get("kind") in _FOREIGN_KINDS:
            done.remark(where, "left out: jarkkit makes node pools and node classes from settings")
            continue
        _ray(item, where, done)
        for spec, path in _pod_specs(item, where):
            _pod(spec, path, settings, done)
        done.documents.append(item)
    return done


def _named(item: Object) -> str:
    meta = item.get("metadata")
    name = meta.get("name", "") if isinstance(meta, Mapping) else ""
    return f"{item.get('kind', 'values')} {name}".strip()


def _pod_specs(item: Any, path: str) -> Iterator[tuple[Object, str]]:
    """Yield what has containers or is a JupyterHub profile, however deep, with its place."""
    if isinstance(item, list):
        for index, each in enumerate(item):
            named = each.get("groupName") or each.get("name") if isinstance(each, dict) else None
            yield from _pod_specs(each, f"{path} {named or index}")
    if not isinstance(item, dict):
        return
    if isinstance(item.get("containers"), list) or any(key in item for key in _SELECTORS):
        yield item, path
    for key, each in item.items():
        title = item.get("display_name") if key == "kubespawner_override" else None
        short = {"headGroupSpec": "head", "kubespawner_override": f"profile {title}"}.get(key)
        yield from _pod_specs(each, f"{path} {short}" if short else path)


# -- Ray -------------------------------------------------------------------------------------------


def _ray(item: Object, where: str, done: Conversion) -> None:
    api = str(item.get("apiVersion", ""))
    if not api.startswith("ray.io/"):
        return
    if api != "ray.io/v1":
        item["apiVersion"] = "ray.io/v1"
        done.change(where, f"{api} is ray.io/v1 since KubeRay 1.0")
    spec = item.get("spec") or {}
    if "serveConfig" in spec:
        spec["serveConfigV2"] = _serve_config(spec.pop("serveConfig"))
        done.change(where, "serveConfig is serveConfigV2, a text in Ray Serve's own format")
        done.remark(where, "compare serveConfigV2 with the program: one application, all its parts")
    for removed in ("serviceUnhealthySecondThreshold", "deploymentUnhealthySecondThreshold"):
        if spec.pop(removed, None) is not None and api != "ray.io/v1":
            done.change(where, f"{removed} does not exist in ray.io/v1")
    for group in _ray_groups(item):
        _texts(group, where, done)
        _keep(group, where, done)


def _ray_groups(item: Any) -> Iterator[Object]:
    """Yield the head's and workers' groups, however deep."""
    if not isinstance(item, dict):
        return
    for key, each in item.items():
        if key == "headGroupSpec" and isinstance(each, dict):
            yield each
        elif key == "workerGroupSpecs" and isinstance(each, list):
            yield from (group for group in each if isinstance(group, dict))
        else:
            yield from _ray_groups(each)


def _texts(group: Object, where: str, done: Conversion) -> None:
    parameters = group.get("rayStartParams") or {}
    for name, value in parameters.items():
        if not isinstance(value, str):
            parameters[name] = str(value).lower() if isinstance(value, bool) else str(value)
            done.change(where, f"rayStartParams {name} is a text: {parameters[name]!r}")


def _keep(group: Object, where: str, done: Conversion) -> None:
    template = group.setdefault("template", {})
    meta = template.get("metadata") or {}
    annotations = {**(meta.get("annotations") or {})}
    if DO_NOT_DISRUPT not in annotations:
        annotations[DO_NOT_DISRUPT] = "true"
        template["metadata"] = {**meta, "annotations": annotations}
        done.change(where, f"{DO_NOT_DISRUPT}: Karpenter does not move its pods")


def _serve_config(old: Any) -> str:
    """Return the text of serveConfigV2 for a serveConfig of ray.io/v1alpha1."""
    old = old if isinstance(old, dict) else {}
    application: Object = {"name": "app", "import_path": old.get("importPath", "")}
    if runtime := old.get("runtimeEnv"):
        application["runtime_env"] = (
            yaml.safe_load(runtime) if isinstance(runtime, str) else runtime
        )
    application["deployments"] = [_snake(each) for each in old.get("deployments") or ()]
    return yaml.safe_dump({"applications": [application]}, sort_keys=False)


def _snake(item: Any) -> Any:
    """Return the mapping with names in Ray Serve's spelling: `numReplicas` is `num_replicas`."""
    if not isinstance(item, dict):
        return item
    return {
        re.sub(r"(?<!^)(?=[A-Z])", "_", key).lower().replace("g_p_us", "gpus"): _snake(value)
        for key, value in item.items()
    }


# -- pods ------------------------------------------------------------------------------------------


def _pod(spec: Object, where: str, settings: Settings, done: Conversion) -> None:
    _resources(spec, where, done)
    requested = set(_requested(spec))
    named = _selector(spec, where, requested, done)
    families = [pool.family for pool in settings.accelerators]
    if named in FAMILIES and named not in families:
        done.remark(where, f"enable the family: add {{family: {named}}} to accelerators, deploy")
    if not settings.karpenter and named:
        done.remark(where, "Karpenter is off, so there are no node pools: use the core nodes")
    resource = accelerator_resource(named) if named in FAMILIES else ""
    for device in ("nvidia.com/gpu", "aws.amazon.com/neuron"):
        if device == resource or device in requested:
            _tolerate(spec, device, where, done)
    for name in sorted(requested):
        if name.startswith("nvidia.com/mig-"):
            done.remark(where, f"{name}: jarkkit configures no MIG; request nvidia.com/gpu")


def _resources(spec: Object, where: str, done: Conversion) -> None:
    for amounts in _amounts(spec):
        for old, new in _RESOURCES.items():
            if old in amounts:
                amounts[new] = amounts.pop(old)
                done.change(where, f"the resource {old} is {new}")


def _amounts(spec: Object) -> Iterator[Object]:
    for key in ("initContainers", "containers"):
        for container in spec.get(key) or ():
            resources = container.get("resources") or {} if isinstance(container, dict) else {}
            for kind in ("limits", "requests"):
                if isinstance(resources.get(kind), dict):
                    yield resources[kind]
    for key in ("extra_resource_limits", "extra_resource_guarantees"):
        if isinstance(spec.get(key), dict):
            yield spec[key]


def _requested(spec: Object) -> Iterator[str]:
    for amounts in _amounts(spec):
        yield from amounts


def _selector(spec: Object, where: str, requested: set[str], done: Conversion) -> str:
    """Translate the node selector; return the pool that it names, empty for none."""
    key = next((key for key in _SELECTORS if isinstance(spec.get(key), dict)), "")
    if not key:
        return ""
    old: dict[str, Any] = spec[key]
    kept = {k: v for k, v in old.items() if k not in (*_POOL_LABELS, *_DROPPED)}
    gone = {k: v for k, v in old.items() if k not in kept}
    new = next((to for k, v in gone.items() if (to := _label(k, str(v), requested))), {})
    if gone:
        spec[key] = {**kept, **new}
        if not spec[key]:
            del spec[key]
        words = ", ".join(f"{k}: {v}" for k, v in gone.items())
        became = ", ".join(f"{k}: {v}" for k, v in new.items())
        done.change(where, f"{words} became {became}" if became else f"{words} removed")
    for label in kept:
        if label != ACCELERATOR_LABEL and not label.startswith(_KNOWN_LABELS):
            done.remark(where, f"no node has the label {label}: remove it, or label nodes")
    return str(new.get(POOL_LABEL) or kept.get(POOL_LABEL, ""))


def _label(key: str, value: str, requested: set[str]) -> dict[str, str]:
    """Return our label for one of theirs; empty if it says nothing about the pool."""
    if key not in _POOL_LABELS:
        return {}
    words = re.sub(r"\.\w+$", "", value.lower())  # g5.xlarge
    if family := _FAMILY.search(words):
        return {POOL_LABEL: family[1]}
    if "neuron" in words or "inferentia" in words or "trainium" in words:
        return {ACCELERATOR_LABEL: "neuron"}
    if "gpu" in words or "nvidia" in words or any(r.startswith("nvidia.com/") for r in requested):
        return {ACCELERATOR_LABEL: "nvidia"}
    if "core" in words:
        return dict(CORE_LABELS)
    return {POOL_LABEL: "cpu"}


def _tolerate(spec: Object, resource: str, where: str, done: Conversion) -> None:
    tolerations = spec.get("tolerations") or []
    if any(t.get("key") in (None, "", resource) for t in tolerations if isinstance(t, dict)):
        return
    family = "inf2" if "neuron" in resource else "g6"
    spec["tolerations"] = [*tolerations, toleration(family)]
    done.change(where, f"tolerates the taint {resource}")


def _add(lines: list[str], line: str) -> None:
    if line not in lines:
        lines.append(line)
