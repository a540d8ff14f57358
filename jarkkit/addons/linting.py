"""Mistakes in what we ship that would only show in a cluster, often as a pod that never starts.

`problems` looks at the whole catalogue and at the example workloads, whatever is switched on. It
asks nobody and changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml

from jarkkit.addons import choice
from jarkkit.addons.catalogue import Addon, catalogue
from jarkkit.addons.order import in_circles
from jarkkit.addons.placement import Node, nodes, possible, trouble, unknown_taints
from jarkkit.addons.pools import Object, maker, resource
from jarkkit.addons.profiles import profiles
from jarkkit.addons.words import fill, known, references
from jarkkit.settings import FAMILIES, Settings

# What may be referred to in a policy: Terraform fills it in.
_IN_POLICIES = {
    "partition",
    "region",
    "account_id",
    "cluster_name",
    "cluster_arn",
    "artifact_bucket",
}
_IN_WORKLOADS = {"pool", "resource"}
_VERSION = re.compile(r"v?\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?")


def problems(settings: Settings) -> list[str]:
    """What is wrong in all that we ship, with these settings. Each is one sentence."""
    return problems_of(catalogue(), workload_files(), settings)


def problems_of(
    addons: Mapping[str, Addon], workloads: Mapping[str, Object], settings: Settings
) -> list[str]:
    """What is wrong in these.

    Args:
        workloads: example workloads by name, as their files have them.
    """
    found = [message for rule in _RULES for message in rule(addons)]
    found += _in_addons(addons.values(), settings)
    found += _in_workloads(workloads, addons)
    found += _in_profiles(settings)
    return list(dict.fromkeys(found))


@cache
def workload_files() -> Mapping[str, Object]:
    """The example workloads, by name, as their files have them."""
    folder = resources.files("jarkkit") / "workloads"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return {file.name.removesuffix(".yaml"): yaml.safe_load(file.read_text()) for file in files}


# -- names -----------------------------------------------------------------------------------------


def _needs_exist(addons: Mapping[str, Addon]) -> Iterator[str]:
    for addon in addons.values():
        for name in addon.needs:
            if name not in addons:
                yield f"{addon.name}: needs {name}, which does not exist"


def _needs_end(addons: Mapping[str, Addon]) -> Iterator[str]:
    """No add-on waits for itself in the end."""
    if circle := in_circles({name: set(addon.needs) for name, addon in addons.items()}):
        yield f"{', '.join(circle)}: need each other in a circle"


def _conditions_exist(addons: Mapping[str, Addon]) -> Iterator[str]:
    for addon in addons.values():
        for name in _conditions(addon):
            other = name.removeprefix("addon:")
            if other == name and name not in Settings.model_fields:
                yield f"{addon.name}: a condition on the setting {name}, which does not exist"
            if other != name and other not in addons:
                yield f"{addon.name}: a condition on the add-on {other}, which does not exist"


def _conditions(addon: Addon) -> Iterator[str]:
    for when in (
        *(variant.when for variant in addon.variants),
        *(workload.when for workload in addon.workloads),
        addon.aws.when if addon.aws else {},
    ):
        yield from when


def _references_exist(addons: Mapping[str, Addon]) -> Iterator[str]:
    for addon in addons.values():
        for name in sorted(references(list(_filled(addon)))):
            if not known(name):
                yield f"{addon.name}: refers to ${{{name}}}, which nothing fills in"
        policies = list(addon.aws.statements) if addon.aws else []
        for name in sorted(references(policies) - _IN_POLICIES):
            yield f"{addon.name}: its policy refers to ${{{name}}}, which nothing fills in"


def _filled(addon: Addon) -> Iterator[Any]:
    """All in which references are filled in."""
    yield from (addon.configuration, addon.values, addon.before, addon.after)
    for variant in addon.variants:
        yield from (variant.values, variant.before, variant.after)


def _services_lead_somewhere(addons: Mapping[str, Addon]) -> Iterator[str]:
    for addon in addons.values():
        names = {workload.name for workload in addon.workloads}
        for service in addon.services:
            if service.workload not in names:
                yield (
                    f"{addon.name}: Service {service.name} leads to {service.workload}, which is "
                    "none of its workloads"
                )


# -- versions --------------------------------------------------------------------------------------


def _versions_are_exact(addons: Mapping[str, Addon]) -> Iterator[str]:
    for addon in addons.values():
        if addon.chart and not _VERSION.fullmatch(addon.chart.version):
            yield f"{addon.name}: the chart's version {addon.chart.version} is not exact"
        things = (*_filled(addon), [workload.pod for workload in addon.workloads])
        for image in _images(things):
            yield f"{addon.name}: {image}"


def _images(thing: Any) -> Iterator[str]:
    """Images without a tag, or with one that stands for something else tomorrow."""
    for mapping in _mappings(thing):
        image, tag = mapping.get("image"), mapping.get("tag")
        if isinstance(image, str) and image and not _is_pinned(image, mapping):
            yield f"the image {image} has no tag of its own"
        if tag == "latest":
            yield f"the image {mapping.get('repository', mapping.get('name'))} has the tag latest"


def _is_pinned(image: str, beside: Object) -> bool:
    """True with a tag or digest, in the image or beside it, or where a reference gives it."""
    if "${" in image or "@sha256:" in image or beside.get("version") or beside.get("tag"):
        return True
    _, _, tag = image.rpartition("/")[2].partition(":")
    return bool(tag) and tag != "latest"


# -- places ----------------------------------------------------------------------------------------


def _in_addons(addons: Iterable[Addon], settings: Settings) -> Iterator[str]:
    """What finds no node. A Deployment needs one with these settings, a DaemonSet one day."""
    here, some_day = nodes(settings), possible(settings)
    for addon in addons:
        yield from _misplaced(addon.name, list(_filled(addon)), some_day)
        for workload in addon.workloads:
            waits = choice.is_on(addon, settings) and workload.kind != "DaemonSet"
            place = f"{addon.name}: {workload.kind} {workload.name}"
            yield from _misplaced(place, workload.pod, some_day, here if waits else some_day)


def _in_workloads(workloads: Mapping[str, Object], addons: Mapping[str, Addon]) -> Iterator[str]:
    for name, workload in workloads.items():
        place, objects = f"workload {name}", workload.get("objects", [])
        for needed in workload.get("needs", ()):
            if needed not in addons:
                yield f"{place}: needs {needed}, which does not exist"
        yield from (f"{place}: {message}" for message in _images(objects))
        if unknown := sorted(references(objects) - _IN_WORKLOADS):
            yield f"{place}: refers to ${{{unknown[0]}}}, which nothing fills in"
            continue
        for meaning in _meanings(workload.get("pool", "none")):
            yield from _misplaced(place, fill(objects, meaning), possible(Settings()))


def _meanings(pool: str) -> Iterator[dict[str, str]]:
    """What the references in a workload may stand for."""
    if pool == "none":
        yield {"pool": "", "resource": ""}
    for family in FAMILIES:
        if maker(family) == pool:
            yield {"pool": family, "resource": resource(family)}


def _in_profiles(settings: Settings) -> Iterator[str]:
    """JupyterHub's profiles, which say things in Python's way."""
    among = nodes(settings)
    for profile in profiles(settings):
        pod = profile["kubespawner_override"]
        place = f"notebook profile {profile['slug']}"
        selector = pod.get("node_selector", {})
        there = {"nodeSelector": selector, "tolerations": pod.get("tolerations", [])}
        yield from _misplaced(place, there, among)
        yield from (f"{place}: {message}" for message in _images(pod))


def _misplaced(
    place: str, thing: Any, known_nodes: list[Node], among: list[Node] | None = None
) -> Iterator[str]:
    """What in it tolerates a taint that there is not, or asks for a node that is not among them."""
    for pod in _mappings(thing):
        for key in unknown_taints(pod, known_nodes):
            yield f"{place}: tolerates {key}, a taint that no node has"
        if why := trouble(pod, known_nodes if among is None else among):
            yield f"{place}: {why}"


def _mappings(thing: Any) -> Iterator[Object]:
    """It, where it is a mapping, and all mappings in it."""
    if isinstance(thing, Mapping):
        yield dict(thing)
        for value in thing.values():
            yield from _mappings(value)
    elif isinstance(thing, list | tuple):
        for item in thing:
            yield from _mappings(item)


_RULES = (
    _needs_exist,
    _needs_end,
    _conditions_exist,
    _references_exist,
    _services_lead_somewhere,
    _versions_are_exact,
)
