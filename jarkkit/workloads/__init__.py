"""The example workloads: what proves that a cluster can be used. One YAML file each, read and
checked here. Adding one is adding a file.

In `objects` these are filled in: `${pool}`, the accelerator pool that the settings choose, and
`${resource}`, what its pods ask for. `$${` is a literal `${`. Everything is made in one namespace
of its own (`NAMESPACE`), which goes when the workload has ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from jarkkit.addons import choice
from jarkkit.addons.catalogue import catalogue
from jarkkit.addons.pools import maker, resource
from jarkkit.addons.words import fill_objects
from jarkkit.cluster.conditions import Condition, Path
from jarkkit.errors import JarkkitError
from jarkkit.settings import Settings

NAMESPACE = "jarkkit-examples"
Object = dict[str, Any]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Wait(_Part):
    """Whose status says how it goes.

    Attributes:
        success: all of them hold when it has ended well.
        failure: one of them holds when it has ended badly.
        phase, message: fields to show.
    """

    api_version: str = Field(alias="apiVersion")
    kind: str
    name: str
    success: tuple[Condition, ...] = Field(min_length=1)
    failure: tuple[Condition, ...] = Field(min_length=1)
    phase: Path
    progress: Path | None = None
    message: Path | None = None


class Logs(_Part):
    """Whose words are shown, and which of them are the result.

    Attributes:
        labels: label selector of the pods.
        result: lines in which this is found.
    """

    labels: str
    container: str = ""
    result: str = ""


class Visit(_Part):
    """A page to ask for, instead of objects to make.

    Attributes:
        addon, service: as in the catalogue.
        says: a regular expression that must be found in its answer.
    """

    addon: str
    service: str
    path: str
    says: str


class Workload(_Part):
    """One example.

    Attributes:
        what: what it does and what it shows.
        minutes: on AWS, image and new node included.
        cost: in words.
        needs: add-ons that must be on.
        pool: which accelerators it wants.
        rehearsal: what of it is real in a sandbox.
        timeout_seconds: until it must have ended.
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
    wait: Wait | None = None
    logs: Logs | None = None
    visit: Visit | None = None
    timeout_seconds: int = 900

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.visit is None) == (self.wait is None) or bool(self.objects) == bool(self.visit):
            raise ValueError(f"{self.name}: either objects with wait, or visit")
        return self


@cache
def workloads() -> Mapping[str, Workload]:
    """All of them by name."""
    folder = resources.files(__package__)
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return {
        name: Workload.model_validate({"name": name, **yaml.safe_load(file.read_text())})
        for file in files
        for name in (file.name.removesuffix(".yaml"),)
    }


def workload(name: str) -> Workload:
    """One of them. Raises JK-USE-UNKNOWN."""
    found = workloads().get(name)
    if found is None:
        raise JarkkitError(
            "JK-USE-UNKNOWN",
            f"There is no example workload {name!r}.",
            f"There are: {', '.join(workloads())}.",
        )
    return found


def hindrance(thing: Workload, settings: Settings) -> str:
    """Why it cannot run with these settings; empty when it can. Pure."""
    if thing.pool != "none" and not pool_of(thing, settings):
        maker_name = {"nvidia": "NVIDIA GPUs", "neuron": "AWS Neuron accelerators"}[thing.pool]
        return f"needs a pool of {maker_name}; the settings choose none (`accelerators`)"
    on = {addon.name for addon in choice.chosen(settings)}
    if off := [name for name in thing.needs if name not in on]:
        titles = [catalogue()[name].title if name in catalogue() else name for name in off]
        return f"needs {' and '.join(titles)}, switched off in the settings"
    return ""


def pool_of(thing: Workload, settings: Settings) -> str:
    """The first chosen accelerator family that fits; empty when none does."""
    families = (pool.family for pool in settings.accelerators if settings.karpenter)
    return next((family for family in families if maker(family) == thing.pool), "")


def objects(thing: Workload, settings: Settings) -> list[Object]:
    """What to make, references filled in, in its namespace."""
    family = pool_of(thing, settings)
    meaning = {"pool": family, "resource": resource(family) if family else ""}
    return [_placed(filled) for filled in fill_objects(thing.objects, meaning)]


def _placed(thing: Object) -> Object:
    return {**thing, "metadata": {**thing["metadata"], "namespace": NAMESPACE}}
