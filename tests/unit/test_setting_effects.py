"""What a changed setting destroys or replaces in a deployment that exists."""

from __future__ import annotations

from typing import Any

import pytest

from jarkkit.decisions.setting_effects import setting_effects
from jarkkit.settings import Settings

EXISTING_VPC: dict[str, Any] = {
    "vpc_id": "vpc-0123456789abcdef0",
    "private_subnet_ids": ("subnet-0a1b2c3d", "subnet-1a2b3c4d"),
}


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({}, {"vpc_cidr": "10.9.0.0/16"}, "replaces the VPC"),
        ({}, {"pod_cidr": "100.65.0.0/16"}, "all node groups"),
        ({"static_gpu_nodes": 1}, {"static_gpu_nodes": 0}, "destroys the static GPU nodes"),
        ({}, {"shared_files": False}, "all homes"),
        ({"artifact_bucket": True}, {"artifact_bucket": False}, "every object"),
        ({"managed_prometheus": True}, {"managed_prometheus": False}, "all metrics"),
        ({"nat": "per-az"}, {"nat": "single"}, "NAT gateways"),
    ],
)
def test_a_destructive_change_is_described(
    before: dict[str, Any], after: dict[str, Any], words: str
) -> None:
    saved = Settings(**before)
    (effect,) = setting_effects(saved, saved.with_changes(after))
    assert words in effect
    assert effect.split()[0] in after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"vpc_cidr": "10.9.0.0/16"}),
        ({}, {"pod_cidr": "100.65.0.0/16"}),
        ({}, {"az_count": 3}),
        ({"nat": "per-az"}, {"nat": "single"}),
    ],
)
def test_settings_of_the_network_have_no_effect_in_an_existing_vpc(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    saved = Settings(**before, **EXISTING_VPC)
    assert setting_effects(saved, saved.with_changes(after)) == ()


@pytest.mark.parametrize(
    "after",
    [
        {"static_gpu_nodes": 1},
        {"artifact_bucket": True},
        {"nat": "per-az"},
        {"core_instance_type": "m6i.xlarge"},  # EKS rolls it out, node by node
        {"addons": {"jupyterhub": False}},
        {"log_retention_days": 30},
    ],
)
def test_a_harmless_change_has_no_effect(after: dict[str, Any]) -> None:
    assert setting_effects(Settings(), Settings().with_changes(after)) == ()
