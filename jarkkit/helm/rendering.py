"""Charts rendered without a cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jarkkit.helm import sdk

Object = dict[str, Any]
_DOCUMENT = re.compile(r"^---(?:[ \t].*)?$", re.MULTILINE)
_HOOK = "helm.sh/hook"


def rendered(chart: Path, name: str, namespace: str, values: Object) -> list[Object]:
    """The definitions in the chart's `crds/`, then what an install would create, hooks too.

    Test hooks are left out, since no install creates them. Raises the SDK's errors.
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
    return [thing for text in texts for thing in _objects(helm, text) if not _is_test(thing)]


def _objects(helm: Any, text: str) -> Iterator[Object]:
    """Read as Helm reads it, which is not how Python's YAML does (`yes`, dates, `=`)."""
    for document in _DOCUMENT.split(text):
        thing = helm.values_from_yaml(document)
        if thing and thing.get("kind") == "List":
            yield from thing.get("items") or ()
        elif thing:
            yield thing


def _is_test(thing: Object) -> bool:
    hooks = ((thing.get("metadata") or {}).get("annotations") or {}).get(_HOOK, "")
    return bool(hooks) and all(hook.strip().startswith("test") for hook in hooks.split(","))
