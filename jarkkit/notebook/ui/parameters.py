"""The parameters that papermill injects: their names and types, also in papermill itself.

papermill only warns of an unknown name, and passes text for a number or a truth value if you write
`-r` or put it in quotes: `-r rehearsal False` is the text "False", which is true. The cell with the
tag `parameters` declares names and types; papermill puts a cell "# Parameters" after it
(https://papermill.readthedocs.io/en/latest/usage-parameterize.html).
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import yaml
from IPython.core.getipython import get_ipython

from jarkkit.model.errors import InvalidSettings
from jarkkit.settings import unknown_name_error

_INJECTED = "# Parameters"
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "")


def find_injected(cells: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return the declared parameters with their defaults, and the injected ones.

    None where papermill did not inject any.

    Args:
        cells: the sources of the cells that have run, in their order.
    """
    for before, cell in pairwise(cells):
        if cell.lstrip().startswith(_INJECTED):
            return _assigned(before), _assigned(cell)
    return None


def _assigned(source: str) -> dict[str, Any]:
    """Return the literals that a cell assigns to names."""
    found: dict[str, Any] = {}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            found[statement.targets[0].id] = ast.literal_eval(statement.value)
    return found


def corrected(declared: Mapping[str, Any], injected: Mapping[str, Any]) -> dict[str, Any]:
    """Return the injected values in the types of the declared defaults.

    Raises JK-SETTINGS-UNKNOWN for other names, JK-SETTINGS-INVALID for values of another type.
    """
    for name in injected:
        if name not in declared:
            raise unknown_name_error(name, declared, source="-p")
    return {name: as_type_of(declared[name], name, value) for name, value in injected.items()}


def as_type_of(default: Any, name: str, value: Any) -> Any:
    """Return the value in the default's type: a truth value, a text or a mapping.

    None is the default. Raises JK-SETTINGS-INVALID.
    """
    if value is None:
        return default
    if isinstance(default, bool):
        return _flag(name, value)
    if isinstance(default, dict):
        return _mapping(name, value)
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    raise _invalid(name, value, "a text")


def _flag(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text not in (*_TRUE, *_FALSE):
        raise _invalid(name, value, "true or false")
    return text in _TRUE


def _mapping(name: str, value: Any) -> dict[str, Any]:
    """Read text as YAML, of which JSON is a part."""
    loaded = value
    if isinstance(value, str):
        try:
            loaded = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError):
            loaded = None
        if not value.strip():
            return {}
    if not isinstance(loaded, dict):
        raise _invalid(name, value, 'settings by name, such as {"az_count": 3}')
    return loaded


def _invalid(name: str, value: Any, expected: str) -> InvalidSettings:
    return InvalidSettings(
        "JK-SETTINGS-INVALID",
        f"The parameter {name} = {str(value)[:80]!r} is not {expected}.",
        f"With papermill: -p {name} VALUE, or -y '{name}: VALUE' for lists and mappings.",
    )


# -- in the kernel ---------------------------------------------------------------------------------


def apply_parameters() -> None:
    """Check the kernel's injected parameters, and replace those of another type.

    Raises JK-SETTINGS-UNKNOWN and JK-SETTINGS-INVALID.
    """
    shell = _shell()
    found = find_injected(_cells(shell)) if shell is not None else None
    if found is not None:
        shell.user_ns.update(corrected(*found))


def has_injected() -> bool:
    """Return True if papermill has injected parameters into this kernel's notebook."""
    shell = _shell()
    return shell is not None and find_injected(_cells(shell)) is not None


def _shell() -> Any:
    return get_ipython()


def _cells(shell: Any) -> list[str]:
    return [str(cell) for cell in shell.user_ns.get("In", ())]
