"""Where settings come from: YAML text, the environment, KEY=VALUE pairs. Text in, values out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from jarkkit.errors import JarkkitError
from jarkkit.settings import Settings, unknown_name

ENVIRONMENT_PREFIX = "JARKKIT_"
# Names with the prefix that are not settings: they say where things are on this machine.
MACHINE_VARIABLES = frozenset({
    "JARKKIT_HOME", "JARKKIT_TERRAFORM", "JARKKIT_TF_MIRROR", "JARKKIT_KUBE_BIN",
    "JARKKIT_CACHE", "JARKKIT_CHART_CACHE", "JARKKIT_TEST_KUBECONFIG", "JARKKIT_HEADLESS",
    "JARKKIT_SANDBOX_ACCOUNT_ONLY", "JARKKIT_STAND_IN_CHARTS", "JARKKIT_ACCOUNT_CACHE",
})  # fmt: skip


def read_yaml(text: str, source: str) -> dict[str, Any]:
    """The mapping in a settings file.

    Raises JK-SETTINGS-SYNTAX with line and column when it is not YAML, when it is not a mapping,
    or when a name stands in it twice (YAML would silently keep the last).
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        loaded = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise JarkkitError(
            "JK-SETTINGS-SYNTAX",
            f"{source}{place}: {error.problem or error.context}.",
            "Correct that line. Values with ':' or '#' in them need quotes.",
        ) from None
    if loaded is None:
        return {}
    if not isinstance(node, yaml.MappingNode) or not isinstance(loaded, dict):
        raise JarkkitError(
            "JK-SETTINGS-SYNTAX",
            f"{source} holds a {type(loaded).__name__}, not settings.",
            "Write one `name: value` per line.",
        )
    lines: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if key.value in lines:
            raise JarkkitError(
                "JK-SETTINGS-SYNTAX",
                f"{source} line {line}: {key.value!r} stands in line {lines[key.value]} already.",
                "Keep one of the two.",
            )
        lines[key.value] = line
        if key.value not in Settings.model_fields:
            raise unknown_name(key.value, Settings.model_fields, source=f"{source} line {line}")
    return loaded


def read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Settings given as JARKKIT_… variables, values read as YAML. Unknown names are refused."""
    found: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in MACHINE_VARIABLES:
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if name not in Settings.model_fields:
            known = [ENVIRONMENT_PREFIX + n.upper() for n in Settings.model_fields]
            raise unknown_name(variable, [*known, *MACHINE_VARIABLES], source="The environment")
        found[name] = _read_value(name, text, source=variable)
    return found


def read_pairs(pairs: Iterable[str], *, source: str = "-p") -> dict[str, Any]:
    """Settings given as KEY=VALUE, values read as YAML, such as `addons={opencost: false}`."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise JarkkitError(
                "JK-USAGE",
                f"{source} {pair!r} is not KEY=VALUE.",
                "Write for example: -p az_count=3",
            )
        if name not in Settings.model_fields:
            raise unknown_name(name, Settings.model_fields, source=source)
        found[name] = _read_value(name, text, source=f"{source} {name}")
    return found


def _read_value(name: str, text: str, *, source: str) -> Any:
    if Settings.model_fields[name].annotation is str:
        return text  # a version such as 1.30 must not become the number 1.3
    try:
        return yaml.safe_load(text) if text else text
    except yaml.YAMLError:
        raise JarkkitError(
            "JK-SETTINGS-SYNTAX",
            f"{source}: the value is not valid YAML.",
            "Put the value in quotes.",
        ) from None
