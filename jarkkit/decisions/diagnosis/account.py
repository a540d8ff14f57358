"""Findings about the deployment's AWS resources. Pure.

Health issues: https://docs.aws.amazon.com/eks/latest/APIReference/API_Issue.html (node groups),
API_ClusterIssue.html and API_AddonIssue.html there (read in November 2026).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from jarkkit.decisions.diagnosis.findings import Finding, Rank, code_key, short_list
from jarkkit.model.errors import AccessDenied, JarkkitError
from jarkkit.model.records import (
    ClusterComponent,
    EksCluster,
    Instance,
    NatGateway,
    OwnedResource,
)

# From launch to node usually takes two to four minutes, with accelerators up to ten.
JOIN_TIMEOUT = timedelta(minutes=10)
_GONE = ("shutting-down", "terminated", "stopping", "stopped")
_SPOT = "Server.SpotInstanceTermination"
_ORDERLY = ("Client.UserInitiatedShutdown", "User initiated")
_MOVING = ("CREATING", "UPDATING", "DELETING")
# By EKS' issue code: our code and the fix.
_ISSUES: dict[str, tuple[str, str]] = {
    "AsgInstanceLaunchFailures": (
        "JK-AWS-CAPACITY",
        "Choose another instance type for the core nodes in the settings, or other zones; then "
        "jarkkit plan and jarkkit deploy.",
    ),
    "InsufficientFreeAddresses": (
        "JK-AWS-QUOTA",
        "The subnets are full. Use a larger network, or delete what uses addresses.",
    ),
    "InstanceLimitExceeded": (
        "JK-AWS-QUOTA",
        "Request more vCPUs in the Service Quotas console; jarkkit preflight shows which quota.",
    ),
    "NodeCreationFailure": (
        "JK-NODE-NOT-JOINED",
        "Check that the nodes can reach the cluster's endpoint and the AWS endpoints (NAT gateway, "
        "route tables, DNS in the VPC), and that their role has an access entry. See also the "
        "instances' system logs.",
    ),
    "AccessDenied": (
        "JK-AWS-DENIED",
        "The nodes' role needs an access entry of type EC2_LINUX; deploy again to restore it.",
    ),
    "ClusterUnreachable": (
        "JK-KUBE-UNREACHABLE",
        "EKS cannot reach the cluster's API: check for a blocking webhook or security group.",
    ),
    "InsufficientNumberOfReplicas": (
        "JK-ADDON-TIMEOUT",
        "Its pods are not ready: see the findings about them. EKS retries by itself.",
    ),
    "ConfigurationConflict": (
        "JK-ADDON-FAILED",
        "Fields that the add-on owns were changed. Deploy again to restore them.",
    ),
    "AdmissionRequestDenied": (
        "JK-KUBE-REFUSED",
        "A webhook or policy in the cluster rejects its objects: the message names it.",
    ),
    "KmsKeyNotFound": ("JK-VERIFY-FAILED", "The cluster's KMS key is gone: restore it in KMS."),
    "KmsKeyDisabled": ("JK-VERIFY-FAILED", "Enable the cluster's KMS key again, in KMS."),
    "KmsKeyMarkedForDeletion": ("JK-VERIFY-FAILED", "Cancel the deletion of the KMS key, in KMS."),
    "VpcNotFound": ("JK-VERIFY-FAILED", "The VPC is gone: clean up and deploy again."),
    "Ec2SubnetNotFound": ("JK-VERIFY-FAILED", "A subnet is gone. Review: jarkkit plan"),
    "Ec2SecurityGroupNotFound": (
        "JK-VERIFY-FAILED",
        "A security group is gone. Review: jarkkit plan",
    ),
}
_OTHER = (
    "JK-VERIFY-FAILED",
    "The message names what is missing. To see what differs, run: jarkkit plan",
)
_REFUSED = {
    "VcpuLimitExceeded": "JK-AWS-QUOTA",
    "MaxSpotInstanceCountExceeded": "JK-AWS-QUOTA",
    "UnauthorizedOperation": "JK-AWS-DENIED",
}


def control_plane_findings(cluster: EksCluster) -> Iterator[Finding]:
    """Report the health issues of the EKS cluster; verify's checks judge its state."""
    yield from _issues(
        Rank.CONTROL_PLANE, f"Cluster {cluster.name}", cluster.issues, "control plane"
    )


def api_findings(error: JarkkitError, plane: EksCluster | None) -> Iterator[Finding]:
    """Report an API that did not answer. A denied call is no finding, only unknown."""
    if isinstance(error, AccessDenied):
        return
    known = plane is not None and plane.status == "ACTIVE"
    why, fix = "EKS reports that the cluster is active." if known else "", ""
    if plane is not None and not plane.public:
        why = "Its endpoint is reachable only from inside the VPC."
    elif plane is not None and "0.0.0.0/0" not in plane.open_to:
        why = f"Its public endpoint is open only to {', '.join(plane.open_to) or 'no address'}."
        fix = "Check that the setting endpoint_public_cidrs includes your address. "
    yield Finding(
        rank=Rank.API,
        subject="The cluster's API",
        found=f"{error.message} {error.evidence}".strip(),
        why=why,
        fix=f"{fix}{error.fix}",
        code=error.code,
        explains=frozenset({"api"}),
        follows=frozenset({"access", "control plane"}),
    )


def component_findings(parts: Iterable[ClusterComponent]) -> Iterator[Finding]:
    """Report unhealthy node groups and EKS add-ons."""
    for part in parts:
        if part.status == "ACTIVE" and not part.issues:
            continue
        group = part.kind == "node group"
        rank = Rank.NODE_GROUP if group else Rank.EKS_ADDON
        key = "node group" if group else f"addon:{part.name}"
        subject = f"{'Node group' if group else 'EKS add-on'} {part.name}"
        follows = {f"group:{part.name}", "network", "control plane"} if group else {key, "nodes"}
        if part.issues:
            yield from _issues(rank, subject, part.issues, key, follows)
        else:
            yield Finding(
                rank=rank,
                subject=subject,
                found=f"it is {part.status}, and EKS gives no reason",
                fix="Check again in a few minutes; then run jarkkit deploy.",
                code="JK-VERIFY-FAILED",
                grave=part.status not in _MOVING,
                explains=frozenset({key}),
                follows=frozenset(follows),
            )


def _issues(
    rank: Rank, subject: str, issues: Sequence[str], key: str, follows: Iterable[str] = ()
) -> Iterator[Finding]:
    for issue in issues:
        word, _, message = issue.partition(": ")
        code, fix = _ISSUES.get(word, _OTHER)
        code = next(
            (jarkkit_code for fragment, jarkkit_code in _REFUSED.items() if fragment in message),
            code,
        )
        yield Finding(
            rank=rank,
            subject=subject,
            found=issue,
            why=f"EKS reports {word}.",
            fix=fix,
            code=code,
            explains=frozenset({key}),
            follows=frozenset({*follows, "access"}),
        )


def instance_findings(
    instances: Iterable[Instance], joined: frozenset[str] | None, now: datetime
) -> Iterator[Finding]:
    """Report instances that never became nodes, were reclaimed by AWS, or stopped.

    Args:
        joined: ids of the instances that are nodes; None where the cluster did not answer.
    """
    every = tuple(instances)
    ended = [i for i in every if i.state in _GONE and i.reason and not _is_orderly(i)]
    reclaimed = [i for i in ended if _SPOT in i.reason]
    if reclaimed:
        yield _reclaimed(reclaimed)
    yield from (_stopped(instance) for instance in ended if instance not in reclaimed)
    for instance in every:
        lost = joined is not None and instance.instance_id not in joined
        if lost and instance.state not in _GONE:
            yield _not_joined(instance, now)


def _is_orderly(instance: Instance) -> bool:
    return any(word in instance.reason for word in _ORDERLY)


def _not_joined(instance: Instance, now: datetime) -> Finding:
    age = now - datetime.fromisoformat(instance.launched)
    late = age > JOIN_TIMEOUT
    return Finding(
        rank=Rank.INSTANCE,
        subject=f"Instance {instance.instance_id}",
        found=f"{instance.instance_type} in {instance.zone}, {instance.state} for "
        f"{_minutes(age)}, and not a node",
        why="Its kubelet has not reached the cluster's API, or the API rejected it."
        if late
        else "It may still be booting, which usually takes two to four minutes.",
        fix="Read its system log (EC2 console, Monitor and troubleshoot). Usual causes: no route "
        "to the endpoint (NAT gateway, routes, security group, DNS), no access entry for its role.",
        code="JK-NODE-NOT-JOINED",
        grave=late,
        # Not its node pool: an instance that boots is no reason why the pool is not Ready.
        explains=frozenset({f"instance:{instance.instance_id}", f"group:{instance.group}"}),
        follows=frozenset({"network", "control plane", "api"}),
    )


def _reclaimed(instances: Sequence[Instance]) -> Finding:
    """Build one finding for all: a cluster on Spot has many reclaimed instances."""
    count = f"{len(instances)} Spot instances" if len(instances) > 1 else "A Spot instance"
    return Finding(
        rank=Rank.INSTANCE,
        subject=f"{count} reclaimed",
        found=short_list(f"{i.instance_id} ({i.instance_type} in {i.zone})" for i in instances),
        why="AWS reclaimed them within the last hour.",
        fix="Karpenter replaces them. For work that must not be interrupted, set its pool's "
        "capacity to on-demand in the settings.",
        code="JK-NODE-RECLAIMED",
        grave=False,
        explains=frozenset(f"instance:{i.instance_id}" for i in instances),
    )


def _stopped(instance: Instance) -> Finding:
    return Finding(
        rank=Rank.INSTANCE,
        subject=f"Instance {instance.instance_id}",
        found=f"{instance.instance_type} in {instance.zone}, {instance.state}: {instance.reason}",
        why="It stopped by itself.",
        fix="Look up the reason in EC2's documentation of state reasons.",
        code="JK-NODE-NOT-READY",
        grave=False,
        explains=frozenset({f"instance:{instance.instance_id}"}),
        follows=frozenset({"network"}),
    )


def _minutes(age: timedelta) -> str:
    seconds = max(0, round(age.total_seconds()))
    return f"{seconds // 60} min" if seconds >= 120 else f"{seconds} s"


def gateway_findings(gateways: Iterable[NatGateway]) -> Iterator[Finding]:
    """Report failed NAT gateways: without one, no node pulls images or joins."""
    for gateway in gateways:
        if gateway.state != "failed" and not gateway.message:
            continue
        yield Finding(
            rank=Rank.NETWORK,
            subject=f"NAT gateway {gateway.gateway_id}",
            found=f"{gateway.state} {gateway.message}".strip(),
            why="Nodes behind it cannot reach the internet: they pull no images and do not join.",
            fix="Fix what the message names (no free Elastic IP addresses, a missing internet "
            "gateway), then run jarkkit plan and jarkkit deploy.",
            code="JK-AWS-QUOTA" if "AddressLimit" in gateway.message else "JK-VERIFY-FAILED",
            explains=frozenset({"network"}),
        )


def leftover_findings(
    name: str, owned: Iterable[OwnedResource], interfaces: Sequence[str]
) -> Iterator[Finding]:
    """Report what blocks the deletion of the network after an incomplete cleanup."""
    for kind in ("aws_lb", "aws_elb"):
        for resource in owned:
            if resource.terraform_type == kind:
                yield _left(
                    f"Load balancer {resource.name or resource.import_id}",
                    resource.import_id,
                    f"Delete it in the EC2 console, then run: jarkkit cleanup {name}",
                )
    if interfaces:
        yield _left(
            f"{len(interfaces)} network interfaces",
            short_list(interfaces),
            "Nothing uses them: delete them in the EC2 console, then run: jarkkit cleanup " + name,
        )


def _left(subject: str, found: str, fix: str) -> Finding:
    return Finding(
        rank=Rank.LEFT,
        subject=subject,
        found=found,
        why="A controller in the cluster created it and did not delete it. While it exists, AWS "
        "does not delete the subnets, security groups and internet gateway.",
        fix=fix,
        code="JK-CLEANUP-LEFT",
        explains=frozenset({"left"}),
        follows=frozenset({code_key("JK-AWS-DENIED")}),
    )
