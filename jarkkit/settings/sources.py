"""Where settings come from: YAML text, the environment, KEY=VALUE pairs. Text in, values out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from yaml.reader import ReaderError

from jarkkit.model.errors import JarkkitError
from jarkkit.settings import Settings, shorten, unknown_name_error

ENVIRONMENT_PREFIX = "JARKKIT_"
# Names with the prefix that are not settings: paths and options of this machine.
MACHINE_VARIABLES = frozenset({
    "JARKKIT_HOME", "JARKKIT_TERRAFORM", "JARKKIT_TF_MIRROR", "JARKKIT_KUBE_BIN",
    "JARKKIT_CACHE", "JARKKIT_CHART_CACHE", "JARKKIT_TEST_KUBECONFIG", "JARKKIT_HEADLESS",
    "JARKKIT_SANDBOX_ACCOUNT_ONLY", "JARKKIT_SANDBOX_SPEED", "JARKKIT_STUB_CHARTS",
    "JARKKIT_ACCOUNT_CACHE",
})  # fmt: skip

# What PyYAML raises for text that is not YAML: beside its own errors those of the values that it
# constructs (a month 13, a timestamp without digits) and of deep nesting.
_UNREADABLE = (yaml.YAMLError, ValueError, AttributeError, RecursionError)


def read_yaml(text: str, source: str) -> dict[str, Any]:
    """Return the mapping in a settings file. Raises JK-SETTINGS-SYNTAX, JK-SETTINGS-UNKNOWN."""
    loaded, lines = read_mapping(text, source, "settings")
    for name, line in lines.items():
        if name not in Settings.model_fields:
            raise unknown_name_error(name, Settings.model_fields, source=f"{source} line {line}")
    return loaded


def read_mapping(text: str, source: str, what: str) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the mapping in a YAML file, and the line of each of its names.

    Raises JK-SETTINGS-SYNTAX with line and column when the text is not YAML, is not a mapping, or
    has a name twice (YAML would silently keep the last).

    Args:
        what: what the file contains, for the message.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        loaded = yaml.safe_load(text)
    except _UNREADABLE as error:
        raise _syntax_error(error, text, source) from None
    if loaded is None:
        return {}, {}
    if not isinstance(node, yaml.MappingNode) or not isinstance(loaded, dict):
        raise JarkkitError(
            "JK-SETTINGS-SYNTAX",
            f"{source} contains a {type(loaded).__name__}, not {what}.",
            "Write one `name: value` per line.",
        )
    lines: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if key.value in lines:
            raise JarkkitError(
                "JK-SETTINGS-SYNTAX",
                f"{source} line {line}: {key.value!r} is already in line {lines[key.value]}.",
                "Remove one of the two lines.",
            )
        lines[key.value] = line
    return loaded, lines


def _syntax_error(error: Exception, text: str, source: str) -> JarkkitError:
    """Return the error for text that YAML cannot read, with its line and column where known."""
    fix = "Correct that line. Put values that contain ':' or '#' in quotes."
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        position = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        words = str(error.problem or error.context)
    elif isinstance(error, ReaderError):
        before = text[: error.position]
        column = error.position - (before.rfind("\n") + 1) + 1
        position = f" line {before.count(chr(10)) + 1}, column {column}"
        words = f"the character U+{ord(text[error.position]):04X} is not allowed"
        fix = "Delete that character: an editor may not show it."
    else:
        position = ""
        deep = isinstance(error, RecursionError)
        words = "it is nested too deeply" if deep else f"a value cannot be read ({error})"
    return JarkkitError("JK-SETTINGS-SYNTAX", f"{source}{position}: {shorten(words)}.", fix)


def read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings in JARKKIT_… variables, with values read as YAML.

    Raises JK-SETTINGS-UNKNOWN and JK-SETTINGS-SYNTAX.
    """
    found: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in MACHINE_VARIABLES:
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if name not in Settings.model_fields:
            known = [ENVIRONMENT_PREFIX + n.upper() for n in Settings.model_fields]
            raise unknown_name_error(
                variable, [*known, *MACHINE_VARIABLES], source="The environment"
            )
        found[name] = _read_value(name, text, source=variable)
    return found


def read_pairs(pairs: Iterable[str], *, source: str = "-p") -> dict[str, Any]:
    """Return the settings in KEY=VALUE pairs, such as `addons={opencost: false}`.

    Values are read as YAML. Raises JK-USAGE, JK-SETTINGS-UNKNOWN and JK-SETTINGS-SYNTAX.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise JarkkitError(
                "JK-USAGE",
                f"{source} {pair!r} is not KEY=VALUE.",
                "Write it like this: -p az_count=3",
            )
        if name not in Settings.model_fields:
            raise unknown_name_error(name, Settings.model_fields, source=source)
        found[name] = _read_value(name, text, source=f"{source} {name}")
    return found


def _read_value(name: str, text: str, *, source: str) -> Any:
    if Settings.model_fields[name].annotation is str:
        return text  # YAML would read a version such as 1.30 as the number 1.3
    try:
        return yaml.safe_load(text) if text else text
    except _UNREADABLE:
        raise JarkkitError(
            "JK-SETTINGS-SYNTAX",
            f"{source}: the value is not valid YAML.",
            "Put the value in quotes.",
        ) from None
