"""What the pretend EKS offers. A real account is asked for its own list."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

# Release on EKS and end of standard support, from endoflife.date/amazon-eks (read 2026-11); 1.36's
# end is its release plus EKS' usual 14 months. Extended support lasts twelve months more.
_VERSIONS: dict[str, tuple[date, date]] = {
    "1.33": (date(2025, 5, 29), date(2026, 7, 29)),
    "1.34": (date(2025, 10, 2), date(2026, 12, 2)),
    "1.35": (date(2026, 1, 27), date(2027, 3, 27)),
    "1.36": (date(2026, 6, 10), date(2027, 8, 10)),
}
DEFAULT_VERSION = "1.35"

# Zones in which EKS refuses to place a control plane:
# https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
REFUSED_ZONE_IDS = frozenset({"use1-az3", "usw1-az2", "cac1-az3"})

# Newest build by add-on. The numbers are the rehearsal's own.
ADDONS: dict[str, str] = {
    "vpc-cni": "v1.21.1-eksbuild.1",
    "kube-proxy": "v{version}.0-eksbuild.2",
    "coredns": "v1.13.1-eksbuild.1",
    "eks-pod-identity-agent": "v1.3.10-eksbuild.1",
    "metrics-server": "v0.8.1-eksbuild.1",
    "aws-ebs-csi-driver": "v1.54.0-eksbuild.1",
    "aws-efs-csi-driver": "v2.2.0-eksbuild.1",
    "aws-fsx-csi-driver": "v1.8.0-eksbuild.1",
    "aws-mountpoint-s3-csi-driver": "v2.3.0-eksbuild.1",
    "snapshot-controller": "v8.4.0-eksbuild.1",
    "amazon-cloudwatch-observability": "v4.9.0-eksbuild.1",
    "eks-node-monitoring-agent": "v1.4.3-eksbuild.1",
    "kube-state-metrics": "v2.17.0-eksbuild.1",
    "prometheus-node-exporter": "v1.10.2-eksbuild.1",
    "cert-manager": "v1.19.1-eksbuild.1",
    "external-dns": "v0.20.0-eksbuild.1",
}

ACCESS_POLICIES = (
    "AmazonEKSClusterAdminPolicy",
    "AmazonEKSAdminPolicy",
    "AmazonEKSAdminViewPolicy",
    "AmazonEKSEditPolicy",
    "AmazonEKSViewPolicy",
    "AmazonEKSAutoNodePolicy",
)


def versions() -> tuple[str, ...]:
    """Minor versions on offer, oldest first."""
    return tuple(_VERSIONS)


def cluster_version(version: str, today: date) -> dict[str, Any]:
    """One version as DescribeClusterVersions words it."""
    released, standard_ends = _VERSIONS[version]
    support = "STANDARD_SUPPORT" if today < standard_ends else "EXTENDED_SUPPORT"
    return {
        "clusterVersion": version,
        "clusterType": "eks",
        "defaultPlatformVersion": "eks.1",
        "defaultVersion": version == DEFAULT_VERSION,
        "releaseDate": _midnight(released),
        "endOfStandardSupportDate": _midnight(standard_ends),
        "endOfExtendedSupportDate": _midnight(standard_ends + timedelta(days=365)),
        "status": support.lower().replace("_", "-"),
        "versionStatus": support,
        "kubernetesPatchVersion": f"{version}.0",
    }


def addon_version(name: str, cluster_version: str) -> str:
    """The newest build of an add-on for a cluster's version. Raises KeyError."""
    return ADDONS[name].format(version=cluster_version)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
