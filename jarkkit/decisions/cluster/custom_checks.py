"""Custom checks of a cluster, written as data here and in a deployment's folder `checks/`.

A file holds one or more YAML documents. Each selects objects and asserts a field of each:

    title: The hub's volume is bound
    why: The hub keeps its users in a database on it.
    when: {"addon:jupyterhub": true}
    object: {apiVersion: v1, kind: PersistentVolumeClaim, namespace: jupyterhub, name: hub-db-dir}
    field: status.phase
    equals: Bound
    fix: Read the claim's events.

Without `name` the check applies to every object of the kind (`labels`, `namespace` and `skip`
narrow it). `field` is a JMESPath expression; `model/assertions` describes it and the operators.
`when`: as in the add-on catalog.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from jarkkit.catalog.addons import addon_catalog, unknown_conditions
from jarkkit.model.assertions import FieldAssertion
from jarkkit.model.checks import Check

Object = Mapping[str, Any]
_MAX_NAMED = 5
# The kinds whose keys in `Check.about` are not the kind itself.
_KEYS = {
    "Node": "node",
    "NodePool": "pool",
    "EC2NodeClass": "pool",
    "PersistentVolumeClaim": "claim",
    "Deployment": "pods",
    "StatefulSet": "pods",
    "DaemonSet": "pods",
}


class ObjectSelector(BaseModel):
    """Selects the objects to check.

    Attributes:
        name: name of the only object; empty for all of the kind.
        at_least: how many there must be; fewer is a failure.
        skip: leaves out the objects that meet this assertion.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    api_version: str = Field(alias="apiVersion")
    kind: str
    name: str = ""
    namespace: str = ""
    labels: str = ""
    at_least: int = 1
    skip: FieldAssertion | None = None


def _known(when: dict[str, Any]) -> dict[str, Any]:
    if problem := next(unknown_conditions(when, addon_catalog()), ""):
        raise PydanticCustomError("condition", "{problem}", {"problem": problem})
    return when


Conditions = Annotated[dict[str, Any], AfterValidator(_known)]


class CustomCheck(FieldAssertion):
    """One custom check."""

    title: str
    why: str = ""
    fix: str = ""
    when: Conditions = Field(default_factory=dict)
    object: ObjectSelector
    severity: Literal["fail", "warn"] = "fail"


def built_in_checks() -> tuple[CustomCheck, ...]:
    """Return the checks that come with jarkkit."""
    files = (
        f
        for f in (resources.files("jarkkit.catalog") / "checks").iterdir()
        if f.name.endswith(".yaml")
    )
    return tuple(c for file in sorted(files, key=lambda f: f.name) for c in parse(file.read_text()))


def parse(text: str) -> Iterator[CustomCheck]:
    """Yield the checks of a file. Raises yaml.YAMLError, pydantic.ValidationError."""
    for document in yaml.safe_load_all(text):
        if document is not None:
            yield CustomCheck.model_validate(document)


def user_checks(folder: Path) -> tuple[tuple[CustomCheck, ...], tuple[Check, ...]]:
    """Read a user's checks; return them, and a failed check for every invalid file."""
    valid: list[CustomCheck] = []
    invalid: list[Check] = []
    for file in sorted(folder.glob("*.y*ml")):
        try:
            valid += parse(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
            invalid.append(_invalid(file, error))
    return tuple(valid), tuple(invalid)


def evaluate(check: CustomCheck, objects: Iterable[Object]) -> Check:
    """Evaluate a custom check on the objects of its kind."""
    skip = check.object.skip
    checked = [each for each in objects if skip is None or not skip.is_met_by(each)]
    wrong = [each for each in checked if not check.is_met_by(each)]
    too_few = len(checked) < check.object.at_least
    status = check.severity if wrong or too_few else "pass"
    failed = status != "pass"
    return Check(
        name=check.title,
        status=status,
        found=_found(check, checked, wrong),
        needed=check.expected if not too_few else f"{check.object.at_least} {check.object.kind}",
        why=check.why,
        fix=check.fix if failed else "",
        code="JK-VERIFY-FAILED" if failed else "",
        about=tuple(_key(check.object.kind, each) for each in wrong),
    )


def _key(kind: str, manifest: Object) -> str:
    """Return the key by which `diagnose` refers to an object."""
    return f"{_KEYS.get(kind, kind)}:{qualified_name(manifest)}"


def _found(check: CustomCheck, checked: list[Object], wrong: list[Object]) -> str:
    if not checked:
        return f"no {check.object.kind}"
    if not wrong:
        one = check.actual(checked[0])
        return one if len(checked) == 1 else f"all {len(checked)}"
    named = [f"{qualified_name(each)}: {check.actual(each)}" for each in wrong[:_MAX_NAMED]]
    more = f" and {len(wrong) - _MAX_NAMED} more" if len(wrong) > _MAX_NAMED else ""
    return "; ".join(named) + more


def qualified_name(manifest: Object) -> str:
    """Return `namespace/name`, or the name alone for a cluster-scoped object."""
    meta = manifest["metadata"]
    return "/".join(filter(None, (meta.get("namespace"), meta["name"])))


def _invalid(file: Path | Traversable, error: Exception) -> Check:
    why = str(error)
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        why = f"{'.'.join(map(str, first['loc'])) or 'check'}: {first['msg']}"
    return Check(
        name=f"checks/{file.name}",
        status="fail",
        found="not a valid file of checks",
        why=why.splitlines()[0][:300],
        fix="Correct the file, or remove it. jarkkit/catalog/checks/ has examples.",
        code="JK-VERIFY-FAILED",
    )
