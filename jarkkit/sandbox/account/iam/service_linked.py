"""Service-linked roles, which AWS' services create once per account.

Names: the "Using service-linked roles" pages of each service's user guide, read 2026-11.
"""

from __future__ import annotations

import contextlib

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.exceptions import InvalidInput
from moto.iam.models import iam_backends

from jarkkit.sandbox.api_calls import Call

NAMES: dict[str, str] = {
    "autoscaling.amazonaws.com": "AWSServiceRoleForAutoScaling",
    "eks-nodegroup.amazonaws.com": "AWSServiceRoleForAmazonEKSNodegroup",
    "eks.amazonaws.com": "AWSServiceRoleForAmazonEKS",
    "elasticfilesystem.amazonaws.com": "AWSServiceRoleForAmazonElasticFileSystem",
    "elasticloadbalancing.amazonaws.com": "AWSServiceRoleForElasticLoadBalancing",
    "spot.amazonaws.com": "AWSServiceRoleForEC2Spot",
}

_FIRST_USE: dict[str, tuple[str, ...]] = {
    "eks:CreateCluster": ("eks.amazonaws.com",),
    "eks:CreateNodegroup": ("eks-nodegroup.amazonaws.com", "autoscaling.amazonaws.com"),
    "elasticfilesystem:CreateMountTarget": ("elasticfilesystem.amazonaws.com",),
    "elasticloadbalancing:CreateLoadBalancer": ("elasticloadbalancing.amazonaws.com",),
}


def used_by(call: Call) -> tuple[str, ...]:
    """Return the services whose role the call creates if the account lacks it."""
    return _FIRST_USE.get(str(call), ())


def ensure(services: tuple[str, ...]) -> None:
    """Create the missing roles of these services."""
    iam = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for service in services:
        with contextlib.suppress(InvalidInput):
            iam.create_service_linked_role(service, "", "")
