"""A container's environment and arguments, computed from its pod as kubelet does.

Pure: the caller passes the function that looks up Secrets and ConfigMaps.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jarkkit.model.kubernetes_values import quantity_value
from jarkkit.sandbox.kubernetes.api import Object

# Returns a namespace's ConfigMap or Secret by kind and name, None when it does not exist.
Lookup = Callable[[str, str], Object | None]

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_.][A-Za-z0-9_.-]*)\)")


class ConfigError(Exception):
    """The container cannot be created; the text is kubelet's."""


def environment(pod: Object, container: Object, lookup: Lookup) -> dict[str, str]:
    """Return the container's variables. Raises ConfigError, as kubelet's config errors."""
    found: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        found.update(_all_of(source, lookup))
    for variable in container.get("env") or ():
        name = variable["name"]
        if "valueFrom" in variable:
            value = _value(pod, container, variable["valueFrom"], lookup)
            if value is not None:
                found[name] = value
        else:
            found[name] = expand(variable.get("value", ""), found)
    return found


def arguments(container: Object, variables: Mapping[str, str]) -> list[str]:
    """Return the container's arguments; the sandbox's own program replaces that of `command`."""
    words = [*(container.get("command") or [])[1:], *(container.get("args") or [])]
    return [expand(word, variables) for word in words]


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$(NAME)` for known names; `$$` is a dollar sign."""

    def replace(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        return variables.get(found[1], found[0])

    return _REFERENCE.sub(replace, text)


def _all_of(source: Object, lookup: Lookup) -> Iterator[tuple[str, str]]:
    for word, kind in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
        if word in source:
            found = _find(kind, source[word], lookup)
            for key, value in _data(kind, found).items():
                yield source.get("prefix", "") + key, value


def _value(pod: Object, container: Object, source: Object, lookup: Lookup) -> str | None:
    if "fieldRef" in source:
        return _field(pod, source["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in source:
        return _resource(container, source["resourceFieldRef"])
    for word, kind in (("secretKeyRef", "secrets"), ("configMapKeyRef", "configmaps")):
        if word in source:
            return _keyed(kind, source[word], lookup)
    raise ConfigError(f"unknown value source: {', '.join(source)}")


def _keyed(kind: str, reference: Object, lookup: Lookup) -> str | None:
    value = _data(kind, _find(kind, reference, lookup)).get(reference["key"])
    if value is None and not reference.get("optional"):
        raise ConfigError(f"couldn't find key {reference['key']} in {kind} {reference['name']}")
    return value


def _find(kind: str, reference: Object, lookup: Lookup) -> Object | None:
    found = lookup(kind, reference["name"])
    if found is None and not reference.get("optional"):
        raise ConfigError(f'{kind.removesuffix("s")} "{reference["name"]}" not found')
    return found


def _data(kind: str, found: Object | None) -> dict[str, str]:
    data = (found or {}).get("data") or {}
    if kind == "secrets":
        return {key: base64.b64decode(value).decode() for key, value in data.items()}
    return dict(data)


def _field(pod: Object, path: str) -> str:
    if keyed := re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path):
        return str(pod["metadata"].get(keyed[1], {}).get(keyed[2], ""))
    here: Any = pod
    for word in path.split("."):
        here = here.get(word, "") if isinstance(here, dict) else ""
    return str(here)


def _resource(container: Object, reference: Object) -> str:
    kind, _, name = reference["resource"].partition(".")
    value = container.get("resources", {}).get(kind, {}).get(name, "0")
    divisor = _thousandths(reference.get("divisor") or 0) or 1000
    return str(math.ceil(_thousandths(value) / divisor))


def _thousandths(quantity: str | int) -> int:
    """Return a quantity in thousandths, as kubelet divides it, so that 1.1 / 0.001 is 1100."""
    return round(quantity_value(quantity) * 1000)
