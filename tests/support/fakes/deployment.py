"""A deployment whose ports are fakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jarkkit.deployment import Deployment
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import ClusterComponent, EksCluster
from tests.support.fakes.account import FakeAccount, FakeTerraform
from tests.support.fakes.cluster import FakeKube, cluster_layer


@dataclass
class DeploymentHarness:
    """A deployment and the fakes of its ports."""

    deployment: Deployment
    account: FakeAccount
    terraform: FakeTerraform

    def plan(self) -> None:
        list(self.deployment.plan())

    def deploy(self) -> None:
        self.plan()
        list(self.deployment.deploy())


class FakeConnect:
    """A connection to the cluster layer that fails, and counts its calls."""

    def __init__(self, error: JarkkitError | None = None) -> None:
        self.error, self.calls = error, 0

    def __call__(self, outputs: Mapping[str, Any]) -> Any:
        self.calls += 1
        if self.error:
            raise self.error
        raise AssertionError("the cluster layer must not be used")


class EmptyingConnect:
    """A connection whose cluster answers, and which records what Terraform had done by then."""

    def __init__(self, harness: DeploymentHarness, kube: FakeKube) -> None:
        self.harness, self.kube = harness, kube
        self.applied: list[int] = []

    def __call__(self, outputs: Mapping[str, Any]) -> Any:
        calls = self.harness.terraform.calls
        self.applied.append(sum(call.startswith("apply") for call in calls))
        return cluster_layer(self.harness.deployment.workspace, (), kube=self.kube)


def protected_cluster(**more: Any) -> EksCluster:
    """Return an active cluster with deletion protection."""
    values = {"name": "demo", "arn": "a", "status": "ACTIVE", "version": "1.36", "endpoint": "x"}
    return EksCluster.model_validate({**values, "deletion_protection": True, **more})


def active_components() -> tuple[ClusterComponent, ...]:
    """Return the node group and the EKS add-ons of the default settings."""
    names = (
        "vpc-cni", "kube-proxy", "coredns", "eks-pod-identity-agent", "metrics-server",
        "aws-ebs-csi-driver", "aws-efs-csi-driver", "amazon-cloudwatch-observability",
    )  # fmt: skip
    made = [
        ClusterComponent(kind="add-on", name=name, status="ACTIVE", version="v1") for name in names
    ]
    return (*made, ClusterComponent(kind="node group", name="core", status="ACTIVE"))
