"""User data that makes an instance a cluster node: written like EKS, read like nodeadm.

AL2023: MIME parts of type application/node.eks.aws, https://awslabs.github.io/amazon-eks-ami/nodeadm/
Bottlerocket: TOML, https://bottlerocket.dev/en/os/latest/api/settings/kubernetes/
"""

from __future__ import annotations

import email
import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

_TYPE = "application/node.eks.aws"
_BOUNDARY = "//"
_EFFECTS = {
    "NO_SCHEDULE": "NoSchedule",
    "NO_EXECUTE": "NoExecute",
    "PREFER_NO_SCHEDULE": "PreferNoSchedule",
}

Taint = dict[str, str]


@dataclass(frozen=True)
class NodeConfig:
    """A kubelet's configuration.

    Attributes:
        max_pods: 0 means that the instance type decides.
    """

    cluster: str
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    max_pods: int = 0


def render(config: NodeConfig) -> str:
    """Return user data for AL2023, as instances of a managed node group get it."""
    labels = ",".join(f"{key}={value}" for key, value in config.labels.items())
    kubelet: dict[str, Any] = {
        "flags": [f"--node-labels={labels}"],
        "config": {"registerWithTaints": list(config.taints)},
    }
    document = {
        "apiVersion": "node.eks.aws/v1alpha1",
        "kind": "NodeConfig",
        "spec": {"cluster": {"name": config.cluster}, "kubelet": kubelet},
    }
    return (
        f'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="{_BOUNDARY}"\n\n'
        f"--{_BOUNDARY}\nContent-Type: {_TYPE}\n\n"
        f"{yaml.safe_dump(document)}\n--{_BOUNDARY}--\n"
    )


def kubernetes_taints(taints: list[dict[str, str]]) -> tuple[Taint, ...]:
    """Convert a managed node group's taints to Kubernetes' format."""
    return tuple(
        {"key": t["key"], "value": t.get("value", ""), "effect": _EFFECTS[t["effect"]]}
        for t in taints
    )


def parse(text: str) -> NodeConfig | None:
    """Parse the node's configuration; None when the user data names no cluster or is invalid."""
    try:
        return _merged(list(_documents(text))) or _bottlerocket(text)
    except (yaml.YAMLError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError):
        return None


def _documents(text: str) -> Iterator[Mapping[str, Any]]:
    for part in email.message_from_string(text).walk():
        if part.get_content_type() == _TYPE:
            yield yaml.safe_load(str(part.get_payload()))


def _merged(documents: list[Mapping[str, Any]]) -> NodeConfig | None:
    """Merge the documents as nodeadm does: later ones add to earlier ones."""
    cluster, max_pods = "", 0
    labels: dict[str, str] = {}
    taints: list[Taint] = []
    for document in documents:
        spec = document["spec"]
        kubelet = spec.get("kubelet") or {}
        settings = kubelet.get("config") or {}
        cluster = (spec.get("cluster") or {}).get("name") or cluster
        labels.update(_labels(kubelet.get("flags") or []))
        taints += settings.get("registerWithTaints") or []
        max_pods = int(settings.get("maxPods") or max_pods)
    return NodeConfig(cluster, labels, _tidy(taints), max_pods) if cluster else None


def _labels(flags: list[str]) -> dict[str, str]:
    words = [word for flag in flags for word in shlex.split(flag)]
    lists = (w.removeprefix("--node-labels=") for w in words if w.startswith("--node-labels="))
    pairs = (pair for given in lists for pair in given.split(",") if pair)
    return {key: value for key, _, value in (pair.partition("=") for pair in pairs)}


def _tidy(taints: Sequence[Mapping[str, Any]]) -> tuple[Taint, ...]:
    return tuple(
        {"key": t["key"], "value": t.get("value") or "", "effect": t["effect"]} for t in taints
    )


def _bottlerocket(text: str) -> NodeConfig | None:
    if "[settings.kubernetes]" not in text:
        return None
    known = tomllib.loads(text)["settings"]["kubernetes"]
    taints = [
        {"key": key, "value": text.partition(":")[0], "effect": text.partition(":")[2]}
        for key, many in (known.get("node-taints") or {}).items()
        for text in ([many] if isinstance(many, str) else many)
    ]
    labels = dict(known.get("node-labels") or {})
    return NodeConfig(known["cluster-name"], labels, _tidy(taints), int(known.get("max-pods", 0)))
