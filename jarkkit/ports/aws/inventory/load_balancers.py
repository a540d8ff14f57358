"""Scanners of load balancers: of the load balancer controller, and of EKS' cloud controller."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jarkkit.decisions.ownership import tag_mapping
from jarkkit.model.records import OwnedResource
from jarkkit.ports.aws.inventory.scan_context import ScanContext, Scanner
from jarkkit.ports.aws.session import paginate

_AT_ONCE = 20  # DescribeTags takes 20 resources


def _balancers(context: ScanContext) -> Iterator[OwnedResource]:
    """Yield Application, Network and Gateway Load Balancers. Their listeners go with them."""
    for arn, tags in _tagged(context, "describe_load_balancers", "LoadBalancers", "LoadBalancer"):
        name = arn.split("/")[-2]
        yield from context.owned("aws_lb", arn, tags, name=name, arn=arn, billable=True)


def _target_groups(context: ScanContext) -> Iterator[OwnedResource]:
    for arn, tags in _tagged(context, "describe_target_groups", "TargetGroups", "TargetGroup"):
        name = arn.split("/")[-2]
        yield from context.owned("aws_lb_target_group", arn, tags, name=name, arn=arn)


def _tagged(
    context: ScanContext, operation: str, key: str, kind: str
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield ARN and tags of all resources that the operation lists."""
    elb = context.client("elbv2")
    arns = [item[f"{kind}Arn"] for item in paginate(elb, operation, key)]
    yield from _tags(
        arns,
        lambda part: elb.describe_tags(ResourceArns=part)["TagDescriptions"],
        "ResourceArn",
    )


def _classic(context: ScanContext) -> Iterator[OwnedResource]:
    """Yield Classic Load Balancers: EKS' cloud controller creates one for each Service of type
    LoadBalancer without a class."""
    elb = context.client("elb")
    listed = paginate(elb, "describe_load_balancers", "LoadBalancerDescriptions")
    names = [item["LoadBalancerName"] for item in listed]
    for name, tags in _tags(
        names,
        lambda part: elb.describe_tags(LoadBalancerNames=part)["TagDescriptions"],
        "LoadBalancerName",
    ):
        yield from context.owned("aws_elb", name, tags, name=name, billable=True)


def _tags(
    resources: Sequence[str], describe: Callable[[Sequence[str]], Sequence[Any]], key: str
) -> Iterator[tuple[str, dict[str, str]]]:
    for start in range(0, len(resources), _AT_ONCE):
        for item in describe(resources[start : start + _AT_ONCE]):
            yield item[key], tag_mapping(item["Tags"])


SCANNERS: dict[str, Scanner] = {
    "elbv2 load balancers": _balancers,
    "elbv2 target groups": _target_groups,
    "elb classic load balancers": _classic,
}
