"""Finds mistakes in our data that would only show in a cluster, often as a pod that never starts.

`problems` checks the whole catalog and the example workloads, whatever the settings enable. It
makes no calls and changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml

from jarkkit.catalog.addons import Addon, addon_catalog, unknown_conditions
from jarkkit.decisions.addons import enabled_addons
from jarkkit.decisions.addons.dependency_order import names_in_cycle
from jarkkit.decisions.addons.hub_profiles import profiles
from jarkkit.decisions.addons.node_pools import Object, accelerator_resource, accelerator_vendor
from jarkkit.decisions.addons.placement import (
    NodeTemplate,
    all_node_templates,
    node_templates,
    unknown_taints,
    why_unschedulable,
)
from jarkkit.decisions.addons.templating import is_known_reference, references, render
from jarkkit.settings import FAMILIES, Settings

# The references that a policy may contain: Terraform replaces them.
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
    """Return all mistakes in our data with these settings, one sentence each."""
    return problems_in(addon_catalog(), workload_files(), settings)


def problems_in(
    addons: Mapping[str, Addon], workloads: Mapping[str, Object], settings: Settings
) -> list[str]:
    """Return the mistakes in these add-ons and workloads.

    Args:
        workloads: the content of the example workloads' files, by name.
    """
    found = [message for rule in _RULES for message in rule(addons)]
    found += _in_addons(addons.values(), settings)
    found += _in_workloads(workloads, addons)
    found += _in_profiles(settings)
    return list(dict.fromkeys(found))


@cache
def workload_files() -> Mapping[str, Object]:
    """Return the content of the example workloads' files, by name."""
    folder = resources.files("jarkkit.catalog") / "examples"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return {file.name.removesuffix(".yaml"): yaml.safe_load(file.read_text()) for file in files}


# -- names -----------------------------------------------------------------------------------------


def _needs_exist(addons: Mapping[str, Addon]) -> Iterator[str]:
    for addon in addons.values():
        for name in addon.needs:
            if name not in addons:
                yield f"{addon.name}: needs {name}, which does not exist"


def _needs_have_no_cycle(addons: Mapping[str, Addon]) -> Iterator[str]:
    """Check that no add-on depends on itself, directly or indirectly."""
    if cycle := names_in_cycle({name: set(addon.needs) for name, addon in addons.items()}):
        yield f"{', '.join(cycle)}: dependency cycle"


def _conditions_exist(addons: Mapping[str, Addon]) -> Iterator[str]:
    for addon in addons.values():
        for problem in unknown_conditions(_conditions(addon), addons):
            yield f"{addon.name}: {problem}"


def _conditions(addon: Addon) -> Iterator[str]:
    for when in (
        *(variant.when for variant in addon.variants),
        *(workload.when for workload in addon.workloads),
        addon.aws.when if addon.aws else {},
    ):
        yield from when


def _references_exist(addons: Mapping[str, Addon]) -> Iterator[str]:
    for addon in addons.values():
        for name in sorted(references(list(_templates(addon)))):
            if not is_known_reference(name):
                yield f"{addon.name}: refers to ${{{name}}}, which does not exist"
        policies = list(addon.aws.statements) if addon.aws else []
        for name in sorted(references(policies) - _IN_POLICIES):
            yield f"{addon.name}: its policy refers to ${{{name}}}, which does not exist"


def _templates(addon: Addon) -> Iterator[Any]:
    """Yield all values of an add-on that may contain references."""
    yield from (addon.configuration, addon.values, addon.before, addon.after)
    for variant in addon.variants:
        yield from (variant.values, variant.before, variant.after)


def _service_workloads_exist(addons: Mapping[str, Addon]) -> Iterator[str]:
    for addon in addons.values():
        names = {workload.name for workload in addon.workloads}
        for service in addon.services:
            if service.workload not in names:
                yield (
                    f"{addon.name}: Service {service.name} selects {service.workload}, which is "
                    "none of the add-on's workloads"
                )


# -- versions --------------------------------------------------------------------------------------


def _versions_are_exact(addons: Mapping[str, Addon]) -> Iterator[str]:
    for addon in addons.values():
        if addon.chart and not _VERSION.fullmatch(addon.chart.version):
            yield f"{addon.name}: the chart's version {addon.chart.version} is not exact"
        templates = (*_templates(addon), [workload.pod for workload in addon.workloads])
        for image in _images(templates):
            yield f"{addon.name}: {image}"


def _images(value: Any) -> Iterator[str]:
    """Find images without a tag, or with the moving tag `latest`."""
    for mapping in _mappings(value):
        image, tag = mapping.get("image"), mapping.get("tag")
        if isinstance(image, str) and image and not _is_pinned(image, mapping):
            yield f"the image {image} has no fixed tag"
        if tag == "latest":
            yield f"the image {mapping.get('repository', mapping.get('name'))} has the tag latest"


def _is_pinned(image: str, beside: Object) -> bool:
    """Return True with a tag or digest, in the image or beside it, or given by a reference."""
    if "${" in image or "@sha256:" in image or beside.get("version") or beside.get("tag"):
        return True
    _, _, tag = image.rpartition("/")[2].partition(":")
    return bool(tag) and tag != "latest"


# -- scheduling ------------------------------------------------------------------------------------


def _in_addons(addons: Iterable[Addon], settings: Settings) -> Iterator[str]:
    """Find unschedulable pods.

    A Deployment needs a node with these settings, a DaemonSet with any settings.
    """
    current, any_settings = node_templates(settings), all_node_templates(settings)
    for addon in addons:
        yield from _unschedulable(addon.name, list(_templates(addon)), any_settings)
        for workload in addon.workloads:
            must_run = enabled_addons.is_enabled(addon, settings) and workload.kind != "DaemonSet"
            subject = f"{addon.name}: {workload.kind} {workload.name}"
            among = current if must_run else any_settings
            yield from _unschedulable(subject, workload.pod, any_settings, among)


def _in_workloads(workloads: Mapping[str, Object], addons: Mapping[str, Addon]) -> Iterator[str]:
    for name, workload in workloads.items():
        subject, objects = f"workload {name}", workload.get("objects", [])
        for needed in workload.get("needs", ()):
            if needed not in addons:
                yield f"{subject}: needs {needed}, which does not exist"
        yield from (f"{subject}: {message}" for message in _images(objects))
        if unknown := sorted(references(objects) - _IN_WORKLOADS):
            yield f"{subject}: refers to ${{{unknown[0]}}}, which does not exist"
            continue
        for values in _workload_values(workload.get("pool", "none")):
            yield from _unschedulable(
                subject, render(objects, values), all_node_templates(Settings())
            )


def _workload_values(pool: str) -> Iterator[dict[str, str]]:
    """Yield all combinations of values for the references in a workload."""
    if pool == "none":
        yield {"pool": "", "resource": ""}
    for family in FAMILIES:
        if accelerator_vendor(family) == pool:
            yield {"pool": family, "resource": accelerator_resource(family)}


def _in_profiles(settings: Settings) -> Iterator[str]:
    """Check JupyterHub's profiles, whose keys are in Python's naming style."""
    among = node_templates(settings)
    for profile in profiles(settings):
        pod = profile["kubespawner_override"]
        subject = f"notebook profile {profile['slug']}"
        selector = pod.get("node_selector", {})
        spec = {"nodeSelector": selector, "tolerations": pod.get("tolerations", [])}
        yield from _unschedulable(subject, spec, among)
        yield from (f"{subject}: {message}" for message in _images(pod))


def _unschedulable(
    subject: str,
    value: Any,
    known_nodes: list[NodeTemplate],
    among: list[NodeTemplate] | None = None,
) -> Iterator[str]:
    """Find pod specs that tolerate an unknown taint or that fit on none of the nodes."""
    for pod in _mappings(value):
        for key in unknown_taints(pod, known_nodes):
            yield f"{subject}: tolerates {key}, a taint that no node has"
        if why := why_unschedulable(pod, known_nodes if among is None else among):
            yield f"{subject}: {why}"


def _mappings(value: Any) -> Iterator[Object]:
    """Yield the value, if it is a mapping, and all mappings in it."""
    if isinstance(value, Mapping):
        yield dict(value)
        for child in value.values():
            yield from _mappings(child)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _mappings(item)


_RULES = (
    _needs_exist,
    _needs_have_no_cycle,
    _conditions_exist,
    _references_exist,
    _service_workloads_exist,
    _versions_are_exact,
)
