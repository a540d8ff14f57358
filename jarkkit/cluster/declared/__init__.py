"""Checks of a cluster that are written as data, here and in a deployment's folder `checks/`.

A file holds one or more YAML documents. Each names objects and what a field of each should be:

    title: Hub's volume is kept
    why: Its database has the users.
    when: {"addon:jupyterhub": true}
    object: {apiVersion: v1, kind: PersistentVolumeClaim, namespace: jupyterhub, name: hub-db-dir}
    field: .status.phase
    equals: Bound
    fix: Look at the claim's events.

Without `name` it is about every object of the kind (`labels`, `namespace` and `skip` narrow it).
`field` and the words beside it: `conditions`. `when`: as in the add-on catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jarkkit.checks import Check
from jarkkit.cluster.conditions import Condition

Object = Mapping[str, Any]
_NAMED = 5


class Objects(BaseModel):
    """Which objects.

    Attributes:
        name: of the only one; empty for all.
        at_least: how many there must be; fewer is a failure.
        skip: those for which this holds are left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    api_version: str = Field(alias="apiVersion")
    kind: str
    name: str = ""
    namespace: str = ""
    labels: str = ""
    at_least: int = 1
    skip: Condition | None = None


class Declared(Condition):
    """One check."""

    title: str
    why: str = ""
    fix: str = ""
    when: dict[str, Any] = Field(default_factory=dict)
    object: Objects
    severity: Literal["fail", "warn"] = "fail"


def shipped() -> tuple[Declared, ...]:
    """The checks that come with the kit."""
    files = (f for f in resources.files(__package__).iterdir() if f.name.endswith(".yaml"))
    return tuple(c for file in sorted(files, key=lambda f: f.name) for c in parse(file.read_text()))


def parse(text: str) -> Iterator[Declared]:
    """The checks of a file. Raises yaml.YAMLError, pydantic.ValidationError."""
    for document in yaml.safe_load_all(text):
        if document is not None:
            yield Declared.model_validate(document)


def own(folder: Path) -> tuple[tuple[Declared, ...], tuple[Check, ...]]:
    """A user's checks, and a failed check for every file that is not what it should be."""
    good: list[Declared] = []
    bad: list[Check] = []
    for file in sorted(folder.glob("*.y*ml")):
        try:
            good += parse(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
            bad.append(_unreadable(file, error))
    return tuple(good), tuple(bad)


def judge(check: Declared, things: Iterable[Object]) -> Check:
    """The answer, from the objects that there are."""
    there = [t for t in things if check.object.skip is None or not check.object.skip.holds(t)]
    wrong = [thing for thing in there if not check.holds(thing)]
    few = len(there) < check.object.at_least
    status = check.severity if wrong or few else "pass"
    bad = status != "pass"
    return Check(
        name=check.title,
        status=status,
        found=_found(check, there, wrong),
        needed=check.wanted if not few else f"{check.object.at_least} {check.object.kind}",
        why=check.why,
        fix=check.fix if bad else "",
        code="JK-VERIFY-FAILED" if bad else "",
    )


def _found(check: Declared, there: list[Object], wrong: list[Object]) -> str:
    if not there:
        return f"no {check.object.kind}"
    if not wrong:
        one = check.found(there[0])
        return one if len(there) == 1 else f"all {len(there)}"
    named = [f"{name_of(thing)}: {check.found(thing)}" for thing in wrong[:_NAMED]]
    more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    return "; ".join(named) + more


def name_of(thing: Object) -> str:
    """`namespace/name`, or the name alone."""
    meta = thing["metadata"]
    return "/".join(filter(None, (meta.get("namespace"), meta["name"])))


def _unreadable(file: Path | Traversable, error: Exception) -> Check:
    said = str(error)
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        said = f"{'.'.join(map(str, first['loc'])) or 'check'}: {first['msg']}"
    return Check(
        name=f"checks/{file.name}",
        status="fail",
        found="not a file of checks",
        why=said.splitlines()[0][:300],
        fix="Correct the file, or remove it. jarkkit/cluster/declared/ has examples.",
        code="JK-VERIFY-FAILED",
    )
