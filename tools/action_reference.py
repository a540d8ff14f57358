"""Writes what the sandbox knows about each action from AWS' own tables:

    python -m tools.action_reference

The sandbox reads jarkkit/sandbox/account/iam/action_reference.json, because the package that has
the tables is large and only for development.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from jarkkit.decisions.permissions.statements import statement_templates
from jarkkit.sandbox.account.iam.arns import resource_types
from tools.service_authorization import ResourceType, find_action

FILE = (
    Path(__file__).parents[1] / "jarkkit" / "sandbox" / "account" / "iam" / "action_reference.json"
)
ABOUT = (
    "Resource types of each action, from the Service Authorization Reference "
    "(https://docs.aws.amazon.com/service-authorization/latest/reference/), without the types that "
    "no call of a deployment names. Flags: ! = required in every call, Q = condition keys for the "
    "tags in the request (aws:RequestTag), R = condition keys for the resource's existing tags "
    "(aws:ResourceTag). The type * marks an action without resource types. Written by `python -m "
    "tools.action_reference`."
)
# Actions that a call needs beside those of the statements: roles are passed, tags are read.
_OTHERS = ("eks:ListTagsForResource", "iam:PassRole")


def action_reference() -> str:
    """Return the text of the file: one line for each action of the deployer's statements."""
    named = {action for statement in statement_templates() for action in statement.actions}
    lines = [_line(action, flags_of(action)) for action in sorted({*named, *_OTHERS})]
    return "{\n" + ",\n".join([f' "_": {json.dumps(ABOUT)}', *lines]) + "\n}\n"


def flags_of(action: str) -> dict[str, str]:
    """Return the action's resource types with their flags. Raises KeyError if it does not exist."""
    found, known = find_action(action), resource_types(action.partition(":")[0])
    if not found.types:
        return {"*": _flag("Q", "aws:RequestTag", found.keys)}
    # `loadbalancer/app/` and `loadbalancer/net/` are one type to the sandbox.
    types = {kind.partition("/")[0]: each for kind, each in sorted(found.types.items())}
    kept = {kind: each for kind, each in types.items() if kind in known} or types
    return {kind: _flags(each, found.keys) for kind, each in kept.items()}


def _flags(kind: ResourceType, common: Iterable[str]) -> str:
    keys = {*kind.keys, *common}
    return (
        ("!" if kind.required else "")
        + _flag("Q", "aws:RequestTag", keys)
        + _flag("R", "aws:ResourceTag", {*keys, *kind.own_keys})
    )


def _flag(flag: str, start: str, keys: Iterable[str]) -> str:
    return flag if any(key.startswith(f"{start}/") for key in keys) else ""


def _line(action: str, kinds: Mapping[str, str]) -> str:
    return f" {json.dumps(action)}: {json.dumps(kinds)}"


if __name__ == "__main__":
    FILE.write_text(action_reference(), encoding="utf-8")
