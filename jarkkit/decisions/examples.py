"""Which example workloads can run with these settings, and the objects of one. Pure."""

from __future__ import annotations

from jarkkit.catalog.addons import addon_catalog
from jarkkit.catalog.examples import NAMESPACE, ExampleWorkload, Object
from jarkkit.decisions.addons.node_pools import accelerator_resource, accelerator_vendor
from jarkkit.decisions.addons.templating import render_objects
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.settings import Settings


def why_not_runnable(example: ExampleWorkload, stack: ResolvedStack) -> str:
    """Explain why it cannot run with these settings; empty when it can. Pure."""
    if example.pool != "none" and not pool_family(example, stack.settings):
        maker_name = {"nvidia": "NVIDIA GPUs", "neuron": "AWS Neuron accelerators"}[example.pool]
        return f"needs a pool of {maker_name}; your settings have none (`accelerators`)"
    if disabled := [name for name in example.needs if name not in stack.addon_names]:
        titles = [
            addon_catalog()[name].title if name in addon_catalog() else name for name in disabled
        ]
        return f"needs {' and '.join(titles)}, which your settings switch off"
    return ""


def pool_family(example: ExampleWorkload, settings: Settings) -> str:
    """Return the first accelerator family in the settings that fits; empty if none does."""
    families = (pool.family for pool in settings.accelerators if settings.karpenter)
    return next((family for family in families if accelerator_vendor(family) == example.pool), "")


def manifests(example: ExampleWorkload, settings: Settings) -> list[Object]:
    """Render the objects to create, in the examples' namespace."""
    family = pool_family(example, settings)
    context = {"pool": family, "resource": accelerator_resource(family) if family else ""}
    return [_in_namespace(item) for item in render_objects(example.objects, context)]


def _in_namespace(item: Object) -> Object:
    return {**item, "metadata": {**item["metadata"], "namespace": NAMESPACE}}
