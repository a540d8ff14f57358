"""Rendering of charts without a cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jarkkit.ports.helm import sdk

Object = dict[str, Any]
_DOCUMENT = re.compile(r"^---(?:[ \t].*)?$", re.MULTILINE)
_HOOK = "helm.sh/hook"


def render_chart(chart: Path, name: str, namespace: str, values: Object) -> list[Object]:
    """Return the CRDs in the chart's `crds/`, then the objects of an install, including hooks.

    Test hooks are excluded, because an install does not create them. Raises the SDK's errors.
    """
    helm = sdk.load()
    with helm.Chart.load(chart) as loaded:
        texts = [crd["data"] for crd in loaded.crds]
        texts += [
            text
            for path, text in sorted(
                loaded.render(values, name=name, namespace=namespace, is_install=True).items()
            )
            if path.endswith((".yaml", ".yml", ".json", ".tpl"))
        ]
    return [item for text in texts for item in _objects(helm, text) if not _is_test(item)]


def _objects(helm: Any, text: str) -> Iterator[Object]:
    """Parse YAML as Helm does, which differs from Python's YAML (`yes`, dates, `=`)."""
    for document in _DOCUMENT.split(text):
        item = helm.values_from_yaml(document)
        if item and item.get("kind") == "List":
            yield from item.get("items") or ()
        elif item:
            yield item


def _is_test(item: Object) -> bool:
    hooks = ((item.get("metadata") or {}).get("annotations") or {}).get(_HOOK, "")
    return bool(hooks) and all(hook.strip().startswith("test") for hook in hooks.split(","))
