"""What the simulated EKS offers. For a real account, jarkkit requests the lists from AWS."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from jarkkit.catalog.facts import default_eks_version, eks_versions

# Builds by add-on, newest first, of which EKS offers more. Those of the first six, EBS, EFS and
# CloudWatch are builds that public configurations of 2026 name; the others are made up.
ADDONS: dict[str, tuple[str, ...]] = {
    "vpc-cni": ("v1.23.0-eksbuild.1", "v1.22.3-eksbuild.1"),
    "kube-proxy": ("v{version}.3-eksbuild.18", "v{version}.0-eksbuild.2"),
    "coredns": ("v1.14.3-eksbuild.3", "v1.13.2-eksbuild.11"),
    "eks-pod-identity-agent": ("v1.4.0-eksbuild.1", "v1.3.10-eksbuild.3"),
    "metrics-server": ("v0.9.0-eksbuild.5", "v0.8.1-eksbuild.14"),
    "aws-ebs-csi-driver": ("v1.63.1-eksbuild.1", "v1.63.0-eksbuild.1"),
    "aws-efs-csi-driver": ("v3.4.0-eksbuild.1", "v3.3.0-eksbuild.1"),
    "aws-fsx-csi-driver": ("v1.9.0-eksbuild.1", "v1.8.0-eksbuild.1"),
    "aws-mountpoint-s3-csi-driver": ("v2.4.0-eksbuild.1", "v2.3.0-eksbuild.1"),
    "snapshot-controller": ("v8.5.0-eksbuild.1", "v8.4.0-eksbuild.1"),
    "amazon-cloudwatch-observability": ("v6.4.0-eksbuild.1", "v6.3.0-eksbuild.1"),
    "eks-node-monitoring-agent": ("v1.6.0-eksbuild.1", "v1.5.0-eksbuild.1"),
    "kube-state-metrics": ("v2.18.0-eksbuild.1", "v2.17.0-eksbuild.1"),
    "prometheus-node-exporter": ("v1.11.0-eksbuild.1", "v1.10.2-eksbuild.1"),
    "cert-manager": ("v1.20.0-eksbuild.1", "v1.19.1-eksbuild.1"),
    "external-dns": ("v0.21.0-eksbuild.1", "v0.20.0-eksbuild.1"),
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
    """List the minor versions on offer, oldest first."""
    return tuple(eks_versions())


def cluster_version(version: str, today: date, standard_ends: date) -> dict[str, Any]:
    """Describe one version like DescribeClusterVersions, with the end of its standard support."""
    published = eks_versions()[version]
    extended = published.extended_support_ends - published.standard_support_ends
    support = "STANDARD_SUPPORT" if today < standard_ends else "EXTENDED_SUPPORT"
    return {
        "clusterVersion": version,
        "clusterType": "eks",
        "defaultPlatformVersion": "eks.1",
        "defaultVersion": version == default_eks_version(),
        "releaseDate": _midnight(published.released),
        "endOfStandardSupportDate": _midnight(standard_ends),
        "endOfExtendedSupportDate": _midnight(standard_ends + extended),
        "status": support.lower().replace("_", "-"),
        "versionStatus": support,
        "kubernetesPatchVersion": f"{version}.0",
    }


def addon_versions(name: str, cluster_version: str) -> tuple[str, ...]:
    """Return the builds of an add-on for a cluster version, newest first. Raises KeyError."""
    return tuple(build.format(version=cluster_version) for build in ADDONS[name])


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
