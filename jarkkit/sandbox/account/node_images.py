"""The AMIs that AWS publishes for EKS nodes, and their SSM parameters.

Paths and names after "Retrieve recommended Amazon Linux AMI IDs" and "… Bottlerocket AMI IDs" in
the EKS user guide, owners after the AMIs' own descriptions, read 2026-11. The build dates and the
ids are made up; a name always has the same id in a Region.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple

from jarkkit.sandbox.account import eks_reference_data as facts

_AL2023_OWNER, _BOTTLEROCKET_OWNER = "602401143452", "092701018921"
_AL2023 = {"x86_64": ("standard", "nvidia", "neuron"), "arm64": ("standard", "nvidia")}

# Newest first; the older ones let you rehearse a pinned version.
AL2023_BUILDS = ("20261101", "20261015")
_BOTTLEROCKET_BUILDS = (("1.52.0", "5b1d8e2f", "20261028"), ("1.51.0", "c07a94d6", "20261007"))


class NodeImage(NamedTuple):
    """A published AMI, the same in every Region except for its id.

    Attributes:
        volumes: GiB by device; the first is the root device.
        release: the release version of node groups.
        parameters: SSM path prefixes, to which `/image_id` and so on are appended.
        node_group: its `amiType` in a node group.
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
        """Return its id in a Region."""
        return f"ami-{hashlib.sha256(f'{region} {self.name}'.encode()).hexdigest()[:17]}"


@cache
def catalog() -> tuple[NodeImage, ...]:
    """Return every image for the versions that EKS offers."""
    return tuple(image for v in facts.versions() for image in (*_al2023(v), *_bottlerocket(v)))


@cache
def by_id(region: str) -> dict[str, NodeImage]:
    """Return the images by their ids in a Region."""
    return {image.id_in(region): image for image in catalog()}


@cache
def parameters(region: str) -> dict[str, tuple[str, datetime]]:
    """Return value and date of each public parameter, by name."""
    found: dict[str, tuple[str, datetime]] = {}
    for image in catalog():
        for path in image.parameters:
            found[f"{path}/image_id"] = (image.id_in(region), image.created)
            if image.owner == _BOTTLEROCKET_OWNER:
                found[f"{path}/image_version"] = (image.release, image.created)
            else:
                found[f"{path}/image_name"] = (image.name, image.created)
                found[f"{path}/release_version"] = (image.release, image.created)
    return found


def for_node_group(ami_type: str, version: str, release: str = "") -> NodeImage:
    """Return the image for that `amiType`: of that release, or the newest.

    Return a general image if there is none of that type or version.
    """
    fitting = [image for image in catalog() if image.version == version]
    fitting = fitting or [image for image in catalog() if image.version == facts.versions()[-1]]
    named = [image for image in fitting if image.node_group == ami_type] or fitting
    return next((image for image in named if image.release == release), named[0])


def releases(ami_type: str, version: str) -> list[str]:
    """Return the release versions of an `amiType`, newest first; none for an unpublished type."""
    images = [i for i in catalog() if i.version == version and i.node_group == ami_type]
    return [image.release for image in images]


def _al2023(version: str) -> Iterator[NodeImage]:
    for index, build in enumerate(AL2023_BUILDS):
        for architecture, variants in _AL2023.items():
            for variant in variants:
                name = f"amazon-eks-node-al2023-{architecture}-{variant}-{version}-v{build}"
                prefix = f"/aws/service/eks/optimized-ami/{version}/amazon-linux-2023"
                words = (name, "recommended") if index == 0 else (name,)
                word = architecture.replace("arm64", "ARM_64")
                yield NodeImage(
                    name,
                    architecture,
                    _AL2023_OWNER,
                    _day(build),
                    (("/dev/xvda", 20),),
                    version,
                    f"{version}.0-{build}",
                    tuple(f"{prefix}/{architecture}/{variant}/{last}" for last in words),
                    f"AL2023_{word}_{variant.upper()}",
                )


def _bottlerocket(version: str) -> Iterator[NodeImage]:
    for index, (release, commit, day) in enumerate(_BOTTLEROCKET_BUILDS):
        for flavour in ("", "-nvidia"):
            for architecture in _AL2023:
                prefix = f"/aws/service/bottlerocket/aws-k8s-{version}{flavour}/{architecture}"
                words = (release, f"{release}-{commit}", *(("latest",) if index == 0 else ()))
                word = architecture.replace("arm64", "ARM_64") + flavour.upper().replace("-", "_")
                yield NodeImage(
                    f"bottlerocket-aws-k8s-{version}{flavour}-{architecture}-v{release}-{commit}",
                    architecture,
                    _BOTTLEROCKET_OWNER,
                    _day(day),
                    (("/dev/xvda", 4), ("/dev/xvdb", 20)),
                    version,
                    f"{release}-{commit}",
                    tuple(f"{prefix}/{last}" for last in words),
                    f"BOTTLEROCKET_{word}",
                )


def _day(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)
