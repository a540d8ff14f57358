"""Findings about Services and Ingresses that have no load balancer. Pure.

Messages: AWS Load Balancer Controller 2.14 and 3.x; subnet discovery:
https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/subnet_discovery/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from jarkkit.decisions.diagnosis.findings import Finding, Rank
from jarkkit.decisions.diagnosis.pods import concerns

Object = Mapping[str, Any]

CODE = "JK-LOAD-BALANCER-PENDING"
# AWS creates a load balancer within a minute or two.
_CREATING = timedelta(minutes=3)
_CONTROLLER = "aws-load-balancer-controller"

_CAUSES = (
    (
        r"(auto-)?discover(ed)? subnets|unable to resolve at least one subnet|no matching subnets",
        "The controller finds no subnet for it.",
        "Tag the subnets of the VPC in at least two zones (one for a network load balancer): "
        "public ones with kubernetes.io/role/elb=1, private ones, for internal load balancers, "
        "with kubernetes.io/role/internal-elb=1. The controller ignores subnets that are tagged "
        "only for another cluster (kubernetes.io/cluster/OTHER): add "
        "kubernetes.io/cluster/NAME=shared. aws ec2 create-tags --resources SUBNET --tags "
        "Key=kubernetes.io/role/elb,Value=1",
    ),
    (
        r"AccessDenied|UnauthorizedOperation|not authorized",
        "AWS denies the controller a call.",
        "Deploy again to restore the controller's permissions. If a policy of the organization "
        "denies the call, the message names it.",
    ),
    # Before the quota: `RequestLimitExceeded` contains `LimitExceeded`.
    (
        r"Throttl|RequestLimitExceeded|Rate exceeded",
        "AWS throttles the controller's calls: the account makes too many of them.",
        "Wait some minutes: the controller repeats the call by itself.",
    ),
    (
        r"TooManyLoadBalancers|LimitExceeded|quota",
        "The account's quota of load balancers is used up.",
        "Request an increase in the Service Quotas console (Elastic Load Balancing), or delete "
        "load balancers.",
    ),
    (
        r"[Cc]ertificate",
        "The controller finds no certificate for its host, or cannot use the one that it names.",
        "Issue the certificate in AWS Certificate Manager in this Region, for the host of the "
        "Ingress, or name its ARN in an annotation.",
    ),
)


def pending_findings(
    services: Iterable[Object], ingresses: Iterable[Object], events: Sequence[Object], now: datetime
) -> Iterator[Finding]:
    """Report Services of type LoadBalancer and Ingresses without an address.

    Args:
        events: the cluster's warnings, oldest first.
    """
    for item in (*filter(_wants_balancer, services), *ingresses):
        meta = item["metadata"]
        age = now - datetime.fromisoformat(meta["creationTimestamp"])
        if (item.get("status", {}).get("loadBalancer") or {}).get("ingress"):
            continue
        if age < _CREATING or meta.get("deletionTimestamp"):
            continue
        kind = item["kind"]
        own = [
            e
            for e in events
            if concerns(e, meta["name"])
            and e.get("involvedObject", {}).get("kind") == kind
            and e.get("involvedObject", {}).get("namespace", meta["namespace"]) == meta["namespace"]
        ]
        message = str(own[-1].get("message", "")) if own else ""
        why, fix = _explained(item, message)
        yield Finding(
            rank=Rank.LOAD_BALANCER,
            subject=f"{kind} {meta['namespace']}/{meta['name']}",
            found=f"{own[-1].get('reason', '')}: {message}"
            if own
            else f"no load balancer after {round(age.total_seconds() / 60)} minutes, and no "
            "warning",
            why=why,
            fix=fix,
            code=CODE,
            explains=frozenset({f"{kind}:{meta['namespace']}/{meta['name']}"}),
            follows=frozenset({f"addon:{_CONTROLLER}"}),
        )


def _wants_balancer(service: Object) -> bool:
    return bool(service.get("spec", {}).get("type") == "LoadBalancer")


def _explained(item: Object, message: str) -> tuple[str, str]:
    for pattern, why, fix in _CAUSES:
        if re.search(pattern, message):
            return why, fix
    meta = item["metadata"]
    describe = f"kubectl -n {meta['namespace']} describe {item['kind'].lower()} {meta['name']}"
    if message:
        return "", f"Correct what the controller's message names. All of them: {describe}"
    if item["kind"] == "Ingress" and not _ingress_class(item):
        return (
            "It names no ingress class, so no controller serves it unless a class is the default.",
            "Set ingressClassName, for example to alb: kubectl get ingressclass",
        )
    return (
        "No controller reports anything about it.",
        f"Check that the add-on {_CONTROLLER} is enabled and its pods run (jarkkit verify), then: "
        f"{describe}",
    )


def _ingress_class(ingress: Object) -> str:
    annotations = ingress["metadata"].get("annotations") or {}
    old = annotations.get("kubernetes.io/ingress.class", "")
    return str(ingress.get("spec", {}).get("ingressClassName") or old)
