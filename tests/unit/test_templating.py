"""References in the catalog and their values."""

from __future__ import annotations

from typing import Any

import pytest

from jarkkit.catalog.addons import addon_catalog
from jarkkit.decisions.addons.templating import (
    is_known_reference,
    references,
    render,
    render_objects,
)
from jarkkit.model.errors import JarkkitError
from jarkkit.settings import Settings
from tests.support.stacks import resolved

OUTPUTS: dict[str, Any] = {
    "cluster_name": "demo",
    "node_instance_profile_name": "demo-node",
    "node_subnet_ids": ["subnet-1", "subnet-2"],
    "node_security_group_id": "sg-1",
    "efs": {"file_system_id": "fs-1"},
    "karpenter": None,
}

CONTEXT = resolved(Settings()).reference_values(OUTPUTS, "v20261101")


def test_a_whole_reference_keeps_its_type() -> None:
    assert render({"n": "${settings.core_nodes}"}, CONTEXT) == {"n": 2}
    assert render("${karpenter.queue_name}", CONTEXT) is None


def test_a_reference_in_a_text_is_replaced() -> None:
    assert render("${efs.file_system_id}::x-${cluster_name}", CONTEXT) == "fs-1::x-demo"
    assert render(["on: ${settings.karpenter}"], CONTEXT) == ["on: true"]


def test_load_balancers_get_the_tags() -> None:
    stack = resolved(Settings(name="lab1", tags={"team": "ml"}))
    values = stack.reference_values(OUTPUTS, "v20261101")
    addon = addon_catalog()["aws-load-balancer-controller"]
    tags = render(addon.values, values)["defaultTags"]
    assert tags == {"team": "ml", "jarkkit:deployment": "lab1"}


def test_an_escaped_reference_is_kept() -> None:
    assert render("$${cluster_name} $HOME ${", CONTEXT) == "${cluster_name} $HOME ${"
    assert references({"a": ["$${x}", "${cluster_name}", {"${region}": 1}]}) == {
        "cluster_name",
        "region",
    }


@pytest.mark.parametrize("text", ["${nothing}", "a ${node_pools} b", "a ${artifact_bucket}"])
def test_an_unknown_reference_is_an_error(text: str) -> None:
    with pytest.raises(JarkkitError, match="JK-ADDON-INVALID"):
        render(text, CONTEXT)


def test_a_reference_to_objects_becomes_several_objects() -> None:
    kinds = [
        manifest["kind"] for manifest in render_objects(["${node_classes}", {"kind": "X"}], CONTEXT)
    ]
    assert kinds == ["EC2NodeClass", "EC2NodeClass", "X"]


def test_known_references() -> None:
    assert is_known_reference("settings.region")
    assert is_known_reference("node_pools")
    assert not is_known_reference("settings.nothing")
    assert not is_known_reference("nothing")


def test_without_karpenter_there_is_nothing_to_launch() -> None:
    outputs = {k: v for k, v in OUTPUTS.items() if not k.startswith("node_")}
    settings = Settings(karpenter=False, accelerators=())
    values = resolved(settings).reference_values(outputs, "v20261101")
    assert values["node_pools"] == values["node_classes"] == []
