"""Which tags prove that a resource belongs to a deployment, and who created it. Pure.

Terraform tags what it creates. The cluster's controllers use tags of their own, which name the
cluster; it has the deployment's name:

- EKS: `eks:cluster-name` and `aws:eks:cluster-name`
  (https://docs.aws.amazon.com/eks/latest/userguide/eks-using-tags.html)
- the cloud controller, Karpenter and the EBS CSI driver: `kubernetes.io/cluster/NAME: owned`
  (https://github.com/kubernetes/cloud-provider-aws/blob/master/pkg/providers/v1/tags.go)
- the load balancer controller: `elbv2.k8s.aws/cluster`
  (https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/configurations/)
- the VPC CNI: `cluster.k8s.amazonaws.com/name`
  (https://github.com/aws/amazon-vpc-cni-k8s/blob/master/README.md, CLUSTER_NAME)
- Karpenter: `eks:eks-cluster-name`, and `karpenter.k8s.aws/cluster` on launch templates
  (https://karpenter.sh/docs/upgrading/upgrade-guide/)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DEPLOYMENT_TAG = "jarkkit:deployment"

# A key whose presence means that a controller, and not Terraform, created the resource.
_CONTROLLER_KEYS = (
    "cluster.k8s.amazonaws.com/",
    "node.k8s.amazonaws.com/",
    "ebs.csi.aws.com/",
    "elbv2.k8s.aws/",
    "karpenter.k8s.aws/",
    "karpenter.sh/nodeclaim",
    "karpenter.sh/nodepool",
    "kubernetes.io/cluster/",
    "eks:",
    "aws:eks:",
)
# Kinds that Terraform never creates in a deployment.
_NEVER_TERRAFORMS = frozenset(
    {
        "aws_instance",
        "aws_autoscaling_group",
        "aws_ebs_volume",
        "aws_ebs_snapshot",
        "aws_ec2_capacity_reservation",
        "aws_elb",
        "aws_fsx_file_system",
        "aws_lb",
        "aws_lb_target_group",
        "aws_network_interface",
        "aws_vpc_endpoint",
    }
)


@dataclass(frozen=True)
class Ownership:
    """How resources of a deployment are recognized.

    Args:
        name: of the deployment, and of its cluster.
        of_cluster: False if another cluster has this name. Then only the deployment's tag proves
            anything, because the controllers of that cluster use the same tags.
    """

    name: str
    of_cluster: bool = True

    @property
    def controller_tags(self) -> dict[str, str]:
        """Tags of controllers, with the value that proves the ownership."""
        if not self.of_cluster:
            return {}
        return {
            f"kubernetes.io/cluster/{self.name}": "owned",
            "elbv2.k8s.aws/cluster": self.name,
            "cluster.k8s.amazonaws.com/name": self.name,
            "eks:cluster-name": self.name,
            "aws:eks:cluster-name": self.name,
            "eks:eks-cluster-name": self.name,
            "karpenter.k8s.aws/cluster": self.name,
        }

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of all tags that can prove the ownership."""
        return (DEPLOYMENT_TAG, *self.controller_tags)

    def proof(self, tags: object) -> str:
        """Return the tag, as `key=value`, that proves the ownership; empty if none does.

        Another deployment's tag outweighs all others.

        Args:
            tags: a mapping, or AWS' list of pairs.
        """
        found = tag_mapping(tags)
        if DEPLOYMENT_TAG in found:
            value = found[DEPLOYMENT_TAG]
            return f"{DEPLOYMENT_TAG}={value}" if value == self.name else ""
        return next(
            (
                f"{key}={value}"
                for key, value in self.controller_tags.items()
                if found.get(key) == value
            ),
            "",
        )


def is_own_cluster(name: str, tags: object, endpoint: str = "", recorded: str = "") -> bool:
    """Return True if the cluster with the deployment's name is the deployment's.

    A name alone proves nothing: another cluster may have had it first. The deployment's has its
    tag, or the endpoint that the last deploy recorded, which no two clusters share.

    Args:
        name: the deployment's.
        tags: the cluster's, as `endpoint`.
        recorded: the endpoint of the last deploy; empty if there was none.
    """
    if tag_mapping(tags).get(DEPLOYMENT_TAG) == name:
        return True
    return bool(recorded) and endpoint == recorded


def is_of_cluster(terraform_type: str, tags: object) -> bool:
    """Return True if the cluster or a controller created the resource, and not Terraform."""
    return terraform_type in _NEVER_TERRAFORMS or any(
        key.startswith(_CONTROLLER_KEYS) for key in tag_mapping(tags)
    )


def tag_mapping(tags: object) -> dict[str, str]:
    """Return tags as a mapping, from any of the formats that AWS uses."""
    if isinstance(tags, Mapping):
        return {str(key): str(value) for key, value in tags.items()}
    pairs: Sequence[Any] = tags if isinstance(tags, list | tuple) else ()
    return {
        str(pair.get("Key", pair.get("TagKey"))): str(pair.get("Value", pair.get("TagValue", "")))
        for pair in pairs
    }
