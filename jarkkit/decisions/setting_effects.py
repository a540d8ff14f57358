"""What a changed setting destroys or replaces in a deployment that exists. Pure.

For the form, which cannot run Terraform after every click. The plan has the last word: it compares
the configuration with the account.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from jarkkit.settings import Settings


class SettingEffect(NamedTuple):
    """What a changed setting destroys or replaces.

    Attributes:
        applies: whether the change from one to the other settings has the effect.
    """

    setting: str
    effect: str
    applies: Callable[[Settings, Settings], bool]


def _changed(name: str) -> Callable[[Settings, Settings], bool]:
    return lambda before, after: getattr(before, name) != getattr(after, name)


def _switched_off(name: str) -> Callable[[Settings, Settings], bool]:
    return lambda before, after: bool(getattr(before, name)) and not getattr(after, name)


def _in_own_vpc(
    applies: Callable[[Settings, Settings], bool],
) -> Callable[[Settings, Settings], bool]:
    """Return the condition, for a setting that has no effect in an existing VPC."""
    return lambda before, after: not before.vpc_id and not after.vpc_id and applies(before, after)


_CLUSTER = "the cluster with everything in it"
_EFFECTS = (
    SettingEffect(
        "vpc_cidr", f"replaces the VPC, and {_CLUSTER}", _in_own_vpc(_changed("vpc_cidr"))
    ),
    SettingEffect("vpc_id", f"replaces the network, and {_CLUSTER}", _changed("vpc_id")),
    SettingEffect(
        "pod_cidr",
        "replaces the nodes' subnets and all node groups",
        _in_own_vpc(_changed("pod_cidr")),
    ),
    SettingEffect(
        "static_gpu_nodes",
        "destroys the static GPU nodes, with every pod on them",
        _switched_off("static_gpu_nodes"),
    ),
    SettingEffect(
        "shared_files",
        "destroys the file system with all homes and shared files",
        _switched_off("shared_files"),
    ),
    SettingEffect(
        "artifact_bucket",
        "destroys the bucket with every object in it",
        _switched_off("artifact_bucket"),
    ),
    SettingEffect(
        "managed_prometheus",
        "destroys the Prometheus workspace with all metrics",
        _switched_off("managed_prometheus"),
    ),
    SettingEffect(
        "nat",
        "destroys all NAT gateways but one",
        _in_own_vpc(lambda before, after: (before.nat, after.nat) == ("per-az", "single")),
    ),
)


def setting_effects(before: Settings, after: Settings) -> tuple[str, ...]:
    """Return what the changes destroy or replace, as `setting effect`."""
    return tuple(f"{e.setting} {e.effect}" for e in _EFFECTS if e.applies(before, after))
