"""What the configuration values of an add-on may be, where we know it for certain.

From `aws eks describe-addon-configuration` as published in AWS' own documentation and in issues, of
vpc-cni v1.15, coredns v1.10 and kube-proxy v1.28, with the keys that later versions were seen with.
Of other add-ons any object is accepted.
"""

from __future__ import annotations

from typing import Any

_OBJECT = {"type": "object"}
_RESOURCES = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"limits": _OBJECT, "requests": _OBJECT},
}
_TEXT = {"type": "string"}
_WHOLE = {"type": "integer"}
_LIST = {"type": "array"}
# Values of environment variables are strings: numbers and booleans must be quoted.
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_POD = {"podAnnotations": _OBJECT, "podLabels": _OBJECT, "resources": _RESOURCES}

_PROPERTIES: dict[str, dict[str, Any]] = {
    "coredns": {
        **_POD,
        "affinity": {"type": ["object", "null"]},
        "autoScaling": _OBJECT,
        "computeType": _TEXT,
        "corefile": _TEXT,
        "nodeSelector": _TEXTS,
        "podDisruptionBudget": _OBJECT,
        "replicaCount": _WHOLE,
        "tolerations": _LIST,
        "topologySpreadConstraints": _LIST,
    },
    "kube-proxy": {**_POD, "ipvs": _OBJECT, "mode": _TEXT},
    "vpc-cni": {
        **_POD,
        "affinity": {"type": ["object", "null"]},
        "branchENICooldown": _TEXT,
        "enableNetworkPolicy": _TEXT,
        "enableWindowsIpam": _TEXT,
        "enableWindowsPrefixDelegation": _TEXT,
        "eniConfig": _OBJECT,
        "env": _TEXTS,
        "init": _OBJECT,
        "livenessProbeTimeoutSeconds": _WHOLE,
        "nodeAgent": _OBJECT,
        "readinessProbeTimeoutSeconds": _WHOLE,
        "tolerations": _LIST,
    },
}
_TYPES: dict[str, type] = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "null": type(None),
    "number": float,
    "object": dict,
    "string": str,
}


def schema(name: str) -> dict[str, Any]:
    """The JSON schema of an add-on's configuration values."""
    known: dict[str, Any] = {"$schema": "http://json-schema.org/draft-06/schema#", **_OBJECT}
    if name in _PROPERTIES:
        known |= {"additionalProperties": False, "properties": _PROPERTIES[name]}
    return known


def complaints(value: Any, wanted: dict[str, Any], path: str = "$") -> list[str]:
    """Why the values are not as the schema says, in the words that EKS has for it."""
    types = wanted.get("type", [])
    allowed = [types] if isinstance(types, str) else types
    found = next((name for name, kind in _TYPES.items() if type(value) is kind), "string")
    if found not in allowed:
        return [f"{path}: {found} found, {' or '.join(allowed)} expected"]
    if not isinstance(value, dict):
        return []
    said: list[str] = []
    other = wanted.get("additionalProperties", True)
    for key, inner in value.items():
        rule = wanted.get("properties", {}).get(key, other)
        if rule is False:
            said.append(
                f"{path}.{key}: is not defined in the schema and the schema does not allow "
                "additional properties"
            )
        elif isinstance(rule, dict):
            said += complaints(inner, rule, f"{path}.{key}")
    return said
