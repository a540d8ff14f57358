"""The machine images that AWS publishes for EKS nodes, and under which SSM parameters.

Paths and names after "Retrieve recommended Amazon Linux AMI IDs" and "… Bottlerocket AMI IDs" in
the EKS user guide, owners after the AMIs' own descriptions, read 2026-11. The dates of the builds
and the ids are the rehearsal's own; an id is always the same for a name in a Region.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple

from jarkkit.sandbox.account.eks import facts

_AL2023_OWNER, _BOTTLEROCKET_OWNER = "602401143452", "092701018921"
_AL2023 = {"x86_64": ("standard", "nvidia", "neuron"), "arm64": ("standard", "nvidia")}

# Newest first; the older ones are there so that a pinned version can be rehearsed.
AL2023_BUILDS = ("20261101", "20261015")
_BOTTLEROCKET_BUILDS = (("1.52.0", "5b1d8e2f", "20261028"), ("1.51.0", "c07a94d6", "20261007"))


class Image(NamedTuple):
    """A published image, the same in every Region but for its id.

    Attributes:
        volumes: GiB by device; the first is the root device.
        release: the version as node groups call it.
        parameters: SSM paths that end with `/image_id` and so on.
        node_group: what EKS calls it (`amiType`) in a node group; empty for all but the newest.
    """

    name: str
    architecture: str
    owner: str
    created: datetime
    volumes: tuple[tuple[str, int], ...]
    version: str
    release: str
    parameters: tuple[str, ...]
    node_group: str

    def id_in(self, region: str) -> str:
        """Its id there."""
        return f"ami-{hashlib.sha256(f'{region} {self.name}'.encode()).hexdigest()[:17]}"


@cache
def catalogue() -> tuple[Image, ...]:
    """Every image for the versions that EKS offers."""
    return tuple(image for v in facts.versions() for image in (*_al2023(v), *_bottlerocket(v)))


@cache
def by_id(region: str) -> dict[str, Image]:
    """The catalogue by the ids of a Region."""
    return {image.id_in(region): image for image in catalogue()}


@cache
def parameters(region: str) -> dict[str, tuple[str, datetime]]:
    """Value and date of each public parameter, by its name."""
    found: dict[str, tuple[str, datetime]] = {}
    for image in catalogue():
        for path in image.parameters:
            found[f"{path}/image_id"] = (image.id_in(region), image.created)
            if image.owner == _BOTTLEROCKET_OWNER:
                found[f"{path}/image_version"] = (image.release, image.created)
            else:
                found[f"{path}/image_name"] = (image.name, image.created)
                found[f"{path}/release_version"] = (image.release, image.created)
    return found


def for_node_group(ami_type: str, version: str) -> Image:
    """What a node group of that `amiType` runs; general ones for types that are not published."""
    newest = [image for image in catalogue() if image.node_group]
    fitting = [image for image in newest if image.version == version] or newest[::-1]
    named = [image for image in fitting if image.node_group == ami_type]
    return (named or fitting)[0]


def _al2023(version: str) -> Iterator[Image]:
    for index, build in enumerate(AL2023_BUILDS):
        for architecture, variants in _AL2023.items():
            for variant in variants:
                name = f"amazon-eks-node-al2023-{architecture}-{variant}-{version}-v{build}"
                place = f"/aws/service/eks/optimized-ami/{version}/amazon-linux-2023"
                words = (name, "recommended") if index == 0 else (name,)
                word = architecture.replace("arm64", "ARM_64")
                yield Image(
                    name,
                    architecture,
                    _AL2023_OWNER,
                    _day(build),
                    (("/dev/xvda", 20),),
                    version,
                    f"{version}.0-{build}",
                    tuple(f"{place}/{architecture}/{variant}/{last}" for last in words),
                    f"AL2023_{word}_{variant.upper()}" if index == 0 else "",
                )


def _bottlerocket(version: str) -> Iterator[Image]:
    for index, (release, commit, day) in enumerate(_BOTTLEROCKET_BUILDS):
        for flavour in ("", "-nvidia"):
            for architecture in _AL2023:
                place = f"/aws/service/bottlerocket/aws-k8s-{version}{flavour}/{architecture}"
                words = (release, f"{release}-{commit}", *(("latest",) if index == 0 else ()))
                word = architecture.replace("arm64", "ARM_64") + flavour.upper().replace("-", "_")
                yield Image(
                    f"bottlerocket-aws-k8s-{version}{flavour}-{architecture}-v{release}-{commit}",
                    architecture,
                    _BOTTLEROCKET_OWNER,
                    _day(day),
                    (("/dev/xvda", 4), ("/dev/xvdb", 20)),
                    version,
                    f"{release}-{commit}",
                    tuple(f"{place}/{last}" for last in words),
                    f"BOTTLEROCKET_{word}" if index == 0 else "",
                )


def _day(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)
