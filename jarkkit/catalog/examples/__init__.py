"""The example workloads, which prove that a cluster is usable. Each is a YAML file, validated here;
to add one, add a file.

`objects` may use `${pool}`, the accelerator pool in the settings, and `${resource}`, the resource
that its pods request. `$${` is a literal `${`. All objects are created in one namespace
(`NAMESPACE`), which is deleted when the workload has ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from jarkkit.model.assertions import Expression, FieldAssertion
from jarkkit.model.errors import JarkkitError

NAMESPACE = "jarkkit-examples"
Object = dict[str, Any]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class WatchedObject(_Part):
    """The object whose status shows the workload's progress.

    Attributes:
        success: it succeeded when all of these match.
        failure: it failed when one of these matches.
        phase, message: fields to show.
    """

    api_version: str = Field(alias="apiVersion")
    kind: str
    name: str
    success: tuple[FieldAssertion, ...] = Field(min_length=1)
    failure: tuple[FieldAssertion, ...] = Field(min_length=1)
    phase: Expression
    progress: Expression | None = None
    message: Expression | None = None


class LogSource(_Part):
    """The pods whose logs are shown, and which lines are the result.

    Attributes:
        labels: label selector of the pods.
        result: a regular expression; lines that match it are the result.
    """

    labels: str
    container: str = ""
    result: str = ""


class HttpProbe(_Part):
    """A request to a web UI, instead of objects to create.

    Attributes:
        addon, service: as in the catalog.
        says: a regular expression that the response must match.
    """

    addon: str
    service: str
    path: str
    says: str


class ExampleWorkload(_Part):
    """One example workload.

    Attributes:
        what: what it does and shows.
        minutes: its duration on AWS, including image pull and new node.
        cost: in words.
        needs: add-ons that must be enabled.
        pool: the kind of accelerators it needs.
        rehearsal: which parts are real in a sandbox.
        timeout_seconds: maximum duration.
    """

    name: str
    title: str
    what: str
    minutes: int
    cost: str
    needs: tuple[str, ...] = ()
    pool: Literal["none", "nvidia", "neuron"] = "none"
    rehearsal: str
    objects: tuple[Object, ...] = ()
    wait: WatchedObject | None = None
    logs: LogSource | None = None
    visit: HttpProbe | None = None
    timeout_seconds: int = 900

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.visit is None) == (self.wait is None) or bool(self.objects) == bool(self.visit):
            raise ValueError(f"{self.name}: needs either objects with wait, or visit")
        return self


@cache
def example_workloads() -> Mapping[str, ExampleWorkload]:
    """Load all examples by name."""
    folder = resources.files(__package__)
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return {
        name: ExampleWorkload.model_validate({"name": name, **yaml.safe_load(file.read_text())})
        for file in files
        for name in (file.name.removesuffix(".yaml"),)
    }


def example_workload(name: str) -> ExampleWorkload:
    """Return the example of that name. Raises JK-USE-UNKNOWN."""
    found = example_workloads().get(name)
    if found is None:
        raise JarkkitError(
            "JK-USE-UNKNOWN",
            f"There is no example workload {name!r}.",
            f"Choose one of: {', '.join(example_workloads())}.",
        )
    return found
