"""What AWS says of the deployment's parts. Pure.

Health issues: https://docs.aws.amazon.com/eks/latest/APIReference/API_Issue.html (node groups),
API_ClusterIssue.html and API_AddonIssue.html there (read in November 2026).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from jarkkit.diagnosis.findings import Finding, Rank, code_key, listed
from jarkkit.errors import JarkkitError
from jarkkit.records import ControlPlane, Gateway, Instance, Owned, Part

# From launch to node: two to four minutes are usual, with accelerators up to ten.
JOINING = timedelta(minutes=10)
_GONE = ("shutting-down", "terminated", "stopping", "stopped")
_SPOT = "Server.SpotInstanceTermination"
_ORDERLY = ("Client.UserInitiatedShutdown", "User initiated")
_MOVING = ("CREATING", "UPDATING", "DELETING")
# By the issue's code: our code and what to do.
_ISSUES: dict[str, tuple[str, str]] = {
    "AsgInstanceLaunchFailures": (
        "JK-AWS-CAPACITY",
        "Choose another instance type for the core nodes in the settings, or other zones; then "
        "jarkkit plan and jarkkit deploy.",
    ),
    "InsufficientFreeAddresses": (
        "JK-AWS-QUOTA",
        "The subnets are full. Give the deployment a larger network, or end what uses addresses.",
    ),
    "InstanceLimitExceeded": (
        "JK-AWS-QUOTA",
        "Ask for more vCPUs in the Service Quotas console; jarkkit preflight says which quota.",
    ),
    "NodeCreationFailure": (
        "JK-NODE-NOT-JOINED",
        "Can the nodes reach the cluster's endpoint and AWS' own (NAT gateway, route tables, DNS "
        "in the VPC), and has their role an access entry? The instances' system log says more.",
    ),
    "AccessDenied": (
        "JK-AWS-DENIED",
        "Let the nodes' role have an access entry of type EC2_LINUX; deploy again makes it anew.",
    ),
    "ClusterUnreachable": (
        "JK-KUBE-UNREACHABLE",
        "EKS itself cannot reach the cluster's API: is a webhook or a security group in its way?",
    ),
    "InsufficientNumberOfReplicas": (
        "JK-ADDON-TIMEOUT",
        "Its pods are not ready: the findings about them say why. EKS looks again by itself.",
    ),
    "ConfigurationConflict": (
        "JK-ADDON-FAILED",
        "Somebody changed fields that the add-on owns. Deploy again: it takes them back.",
    ),
    "AdmissionRequestDenied": (
        "JK-KUBE-REFUSED",
        "A webhook or policy in the cluster refuses its objects: the message names it.",
    ),
    "KmsKeyNotFound": ("JK-VERIFY-FAILED", "The cluster's KMS key is gone: restore it in KMS."),
    "KmsKeyDisabled": ("JK-VERIFY-FAILED", "Enable the cluster's KMS key again, in KMS."),
    "KmsKeyMarkedForDeletion": ("JK-VERIFY-FAILED", "Cancel the deletion of the KMS key, in KMS."),
    "VpcNotFound": ("JK-VERIFY-FAILED", "The VPC is gone: clean up and deploy again."),
    "Ec2SubnetNotFound": ("JK-VERIFY-FAILED", "A subnet is gone. See: jarkkit plan"),
    "Ec2SecurityGroupNotFound": (
        "JK-VERIFY-FAILED",
        "A security group is gone. See: jarkkit plan",
    ),
}
_OTHER = ("JK-VERIFY-FAILED", "The message says what EKS misses. What differs: jarkkit plan")
_REFUSED = {
    "VcpuLimitExceeded": "JK-AWS-QUOTA",
    "MaxSpotInstanceCountExceeded": "JK-AWS-QUOTA",
    "UnauthorizedOperation": "JK-AWS-DENIED",
}


def control_plane_findings(name: str, found: ControlPlane | None) -> Iterator[Finding]:
    """The EKS cluster. Asked for only where one was deployed."""
    if found is None:
        yield Finding(
            rank=Rank.CONTROL_PLANE,
            subject=f"Cluster {name}",
            found="it is not in the account, although it was deployed",
            why="Somebody deleted it, or the credentials are those of another account.",
            fix="Compare the plan with what is there: jarkkit plan; then jarkkit deploy.",
            code="JK-VERIFY-FAILED",
            explains=frozenset({"api", "control plane"}),
        )
        return
    if found.status != "ACTIVE":
        yield Finding(
            rank=Rank.CONTROL_PLANE,
            subject=f"Cluster {name}",
            found=f"{found.status} {'; '.join(found.issues)}".strip(),
            fix="It is changing: look again in some minutes."
            if found.status in _MOVING
            else "It cannot be mended: clean up (jarkkit cleanup), then deploy again.",
            code="JK-VERIFY-FAILED",
            grave=found.status not in _MOVING,
            explains=frozenset({"api", "control plane"}),
        )
        return
    yield from _issues(Rank.CONTROL_PLANE, f"Cluster {name}", found.issues, "control plane")


def api_findings(error: JarkkitError, plane: ControlPlane | None) -> Iterator[Finding]:
    """The cluster's API did not answer. A refusal is no finding, only no answer."""
    if error.code == "JK-KUBE-DENIED":
        return
    known = plane is not None and plane.status == "ACTIVE"
    why, fix = "EKS says that the cluster is there." if known else "", ""
    if plane is not None and not plane.public:
        why = "Its endpoint can be reached from inside the VPC alone."
    elif plane is not None and "0.0.0.0/0" not in plane.open_to:
        why = f"Its public endpoint is open to {', '.join(plane.open_to) or 'nobody'} alone."
        fix = "Is your address in that list? It is a setting. "
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


def part_findings(parts: Iterable[Part]) -> Iterator[Finding]:
    """Node groups and EKS add-ons that are not well."""
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
                found=f"it is {part.status}, and EKS names no reason",
                fix="Look again in some minutes; then jarkkit deploy.",
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
        code = next((ours for theirs, ours in _REFUSED.items() if theirs in message), code)
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
    """Instances that never became nodes, and those that AWS took back or that died.

    Args:
        joined: ids of the instances that are nodes; None where the cluster could not be asked.
    """
    every = tuple(instances)
    ended = [i for i in every if i.state in _GONE and i.reason and not _is_orderly(i)]
    reclaimed = [i for i in ended if _SPOT in i.reason]
    if reclaimed:
        yield _reclaimed(reclaimed)
    yield from (_died(instance) for instance in ended if instance not in reclaimed)
    for instance in every:
        lost = joined is not None and instance.instance_id not in joined
        if lost and instance.state not in _GONE:
            yield _not_joined(instance, now)


def _is_orderly(instance: Instance) -> bool:
    return any(word in instance.reason for word in _ORDERLY)


def _not_joined(instance: Instance, now: datetime) -> Finding:
    age = now - datetime.fromisoformat(instance.launched)
    late = age > JOINING
    return Finding(
        rank=Rank.INSTANCE,
        subject=f"Instance {instance.instance_id}",
        found=f"{instance.instance_type} in {instance.zone}, {instance.state} for "
        f"{_minutes(age)}, and not a node",
        why="Its kubelet has not reached the cluster's API, or was refused there."
        if late
        else "It may still be booting: two to four minutes are usual.",
        fix="Read its system log (EC2 console, Monitor and troubleshoot). Usual causes: no way to "
        "the endpoint (NAT gateway, routes, security group, DNS), no access entry for its role.",
        code="JK-NODE-NOT-JOINED",
        grave=late,
        explains=frozenset(
            f"{kind}:{name}"
            for kind, name in (
                ("instance", instance.instance_id),
                ("group", instance.group),
                ("pool", instance.group),
            )
        ),
        follows=frozenset({"network", "control plane", "api"}),
    )


def _reclaimed(instances: Sequence[Instance]) -> Finding:
    """One finding for all: a cluster on Spot has many of them."""
    count = f"{len(instances)} Spot instances" if len(instances) > 1 else "A Spot instance"
    return Finding(
        rank=Rank.INSTANCE,
        subject=f"{count} taken back",
        found=listed(f"{i.instance_id} ({i.instance_type} in {i.zone})" for i in instances),
        why="AWS took them back within the last hour.",
        fix="Karpenter replaces them. What must not be interrupted: give its pool capacity "
        "on-demand in the settings.",
        code="JK-NODE-RECLAIMED",
        grave=False,
        explains=frozenset(f"instance:{i.instance_id}" for i in instances),
    )


def _died(instance: Instance) -> Finding:
    return Finding(
        rank=Rank.INSTANCE,
        subject=f"Instance {instance.instance_id}",
        found=f"{instance.instance_type} in {instance.zone}, {instance.state}: {instance.reason}",
        why="It ended by itself.",
        fix="The reason is EC2's own: its documentation of state reasons explains it.",
        code="JK-NODE-NOT-READY",
        grave=False,
        explains=frozenset({f"instance:{instance.instance_id}"}),
        follows=frozenset({"network"}),
    )


def _minutes(age: timedelta) -> str:
    seconds = max(0, round(age.total_seconds()))
    return f"{seconds // 60} min" if seconds >= 120 else f"{seconds} s"


def gateway_findings(gateways: Iterable[Gateway]) -> Iterator[Finding]:
    """Without a NAT gateway no node pulls an image or joins."""
    for gateway in gateways:
        if gateway.state != "failed" and not gateway.message:
            continue
        yield Finding(
            rank=Rank.NETWORK,
            subject=f"NAT gateway {gateway.gateway_id}",
            found=f"{gateway.state} {gateway.message}".strip(),
            why="Nodes behind it have no way out: they pull no image and do not join.",
            fix="Remove what the message names (addresses used up, an Internet gateway that is "
            "missing), then jarkkit plan and jarkkit deploy.",
            code="JK-AWS-QUOTA" if "AddressLimit" in gateway.message else "JK-VERIFY-FAILED",
            explains=frozenset({"network"}),
        )


def left_findings(
    name: str, owned: Iterable[Owned], interfaces: Sequence[str]
) -> Iterator[Finding]:
    """After a cleanup that did not end well: what keeps the network from being deleted."""
    for kind, word in (("aws_lb", "Load balancer"), ("aws_elb", "Load balancer")):
        for thing in owned:
            if thing.terraform_type == kind:
                yield _left(
                    f"{word} {thing.name or thing.import_id}",
                    thing.import_id,
                    f"Delete it in the EC2 console, then run: jarkkit cleanup {name}",
                )
    if interfaces:
        yield _left(
            f"{len(interfaces)} network interfaces",
            listed(interfaces),
            "Nothing uses them: delete them in the EC2 console, then run: jarkkit cleanup " + name,
        )


def _left(subject: str, found: str, fix: str) -> Finding:
    return Finding(
        rank=Rank.LEFT,
        subject=subject,
        found=found,
        why="A controller of the cluster made it and did not take it away. While it is there, "
        "subnets, security groups and the Internet gateway cannot be deleted.",
        fix=fix,
        code="JK-CLEANUP-LEFT",
        explains=frozenset({"left"}),
        follows=frozenset({code_key("JK-AWS-DENIED")}),
    )
