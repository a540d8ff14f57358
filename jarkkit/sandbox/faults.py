"""Faults to inject by name, so that you can practice the fix.

A fault is `name` or `name:argument,…`. An argument names calls as `service.Operation`, where either
part is optional, or Regions, which limit the fault to calls there: `throttled:eks,eu-west-1`.
Faults that reject a call respond in the service's own error format; `daemon` rejects the calls.
Only the account knows what a call launches where, so it applies a lack of capacity itself
(`account/ec2/capacity`). Arguments of that fault can also name instance types, families and zones:
`insufficient-capacity:g5,us-west-2a`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from jarkkit.model.errors import JarkkitError
from jarkkit.sandbox.api_calls import Call

# Status line, headers and body of a WSGI response.
WsgiResponse = tuple[str, list[tuple[str, str]], list[bytes]]


@dataclass(frozen=True)
class FaultKind:
    """A kind of fault: its effect on the calls that it matches.

    Attributes:
        code: the AWS error code in newer protocols; `ec2_code` is EC2's own.
        service_errors: status and code of other services that have their own.
        calls: the calls that match without an argument; empty means all.
        per_instance: the account decides per instance; only calls that are named fail as a whole.
        in_cluster: the fault is inside a cluster and rejects no call; arguments name its targets.
    """

    title: str
    code: str
    ec2_code: str
    message: str
    status: int = 400
    calls: tuple[str, ...] = ()
    unreachable: bool = False
    per_instance: bool = False
    in_cluster: bool = False
    service_errors: Mapping[str, tuple[int, str]] = field(default_factory=dict)


# Services whose error codes predate the suffix Exception.
_OLD = ("iam", "sts", "elasticloadbalancing", "autoscaling", "monitoring")

FAULT_KINDS: dict[str, FaultKind] = {
    "access-denied": FaultKind(
        "AWS rejects calls because a permission is missing",
        "AccessDeniedException",
        "UnauthorizedOperation",
        "User: arn:aws:iam::123456789012:user/learner is not authorized to perform: {call} "
        "because no identity-based policy allows the {call} action",
        status=403,
        service_errors=dict.fromkeys((*_OLD, "s3"), (403, "AccessDenied")),
    ),
    "expired-credentials": FaultKind(
        "the credentials have expired",
        "ExpiredTokenException",
        "RequestExpired",
        "The security token included in the request is expired",
        status=403,
        service_errors=dict.fromkeys((*_OLD, "s3"), (403, "ExpiredToken")),
    ),
    "throttled": FaultKind(
        "AWS throttles calls",
        "ThrottlingException",
        "RequestLimitExceeded",
        "Rate exceeded",
        service_errors={
            **dict.fromkeys(_OLD, (400, "Throttling")),
            "ec2": (503, "RequestLimitExceeded"),
            "eks": (429, "ThrottlingException"),
            "s3": (503, "SlowDown"),
            "servicequotas": (400, "TooManyRequestsException"),
        },
    ),
    "insufficient-capacity": FaultKind(
        "AWS has no capacity for instances, or for a type, family or zone",
        "InsufficientInstanceCapacity",
        "InsufficientInstanceCapacity",
        "We currently do not have sufficient capacity in the Availability Zone you requested",
        status=500,
        calls=("ec2.RunInstances", "ec2.CreateFleet"),
        per_instance=True,
    ),
    "apply-fails": FaultKind(
        "an API call fails during the deploy",
        "InvalidParameterException",
        "InvalidParameterValue",
        "The request failed because of an injected fault",
        calls=("ec2.CreateNatGateway",),
    ),
    "cluster-fails": FaultKind(
        "EKS cannot create the control plane of a new cluster", "", "", "", in_cluster=True
    ),
    "node-not-joining": FaultKind(
        "instances start but never join as nodes", "", "", "", in_cluster=True
    ),
    "node-unhealthy": FaultKind("kubelets on nodes stop working", "", "", "", in_cluster=True),
    "spot-interruption": FaultKind("AWS reclaims Spot instances", "", "", "", in_cluster=True),
    # Arguments: a prefix of a pod's `namespace/name`, or a part of its image's name.
    "image-pull": FaultKind("nodes cannot pull images of new pods", "", "", "", in_cluster=True),
    "crash-loop": FaultKind("containers of new pods crash repeatedly", "", "", "", in_cluster=True),
    "oom": FaultKind("new pods exceed their memory limit", "", "", "", in_cluster=True),
    "helm-timeout": FaultKind("new pods never become ready", "", "", "", in_cluster=True),
    # Arguments: minor versions. Not in a cluster either, but EKS decides what becomes of it.
    "end-of-support": FaultKind(
        "the standard support of Kubernetes versions ends today", "", "", "", in_cluster=True
    ),
    "leaked-load-balancer": FaultKind(
        "the load balancer controller does not delete its AWS resources",
        "",
        "",
        "",
        in_cluster=True,
    ),
    "api-unreachable": FaultKind(
        "the endpoint does not respond", "", "", "", calls=(), unreachable=True
    ),
}


# Not a fault: AWS responds like this to an access key that it does not know. A Region that the
# account has not enabled knows none of its keys.
UNKNOWN_KEY = FaultKind(
    "the access key is unknown",
    "UnrecognizedClientException",
    "AuthFailure",
    "The security token included in the request is invalid.",
    status=403,
    service_errors={
        **dict.fromkeys(_OLD, (403, "InvalidClientTokenId")),
        "ec2": (401, "AuthFailure"),
        "s3": (403, "InvalidAccessKeyId"),
    },
)

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
# An instance type, a family or a zone: lowercase letters with a digit. `ec2` is a service.
_TARGET = re.compile(r"(?!ec2$)[a-z][a-z0-9.-]*\d[a-z0-9.-]*")


@dataclass(frozen=True)
class Fault:
    """An active fault.

    Attributes:
        calls: patterns of calls, as given.
        regions: the Regions of these calls; empty means all.
        targets: instance types, families and zones, or pods and images, as given.
    """

    name: str
    calls: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()

    @property
    def kind(self) -> FaultKind:
        """The kind of fault."""
        return FAULT_KINDS[self.name]

    def __str__(self) -> str:
        arguments = ",".join((*self.calls, *self.targets, *self.regions))
        return f"{self.name}:{arguments}" if arguments else self.name

    def matches(self, call: Call) -> bool:
        """Return True when the fault matches the call."""
        if self.regions and call.region not in self.regions:
            return False
        calls = self.calls or self.kind.calls
        return not calls or any(_matches(pattern, call) for pattern in calls)

    def rejects(self, call: Call) -> bool:
        """Return True when the fault rejects the whole call before the account handles it."""
        if self.kind.in_cluster:
            return False
        return self.matches(call) and (not self.kind.per_instance or bool(self.calls))

    def lacks_capacity(self, instance_type: str, zone: str) -> bool:
        """Return True when the fault leaves no capacity for the instance type in the zone."""
        if not self.kind.per_instance or (self.calls and not self.targets):
            return False
        family = instance_type.partition(".")[0]
        return not self.targets or bool({instance_type, family, zone} & set(self.targets))


@dataclass
class ActiveFaults:
    """The active faults."""

    faults: tuple[Fault, ...] = ()

    def activate(self, words: Iterable[str]) -> None:
        """Activate these and no others. Raises JK-SANDBOX-FAULT, without any change."""
        self.faults = parse(words)

    def rejecting_fault(self, call: Call) -> Fault | None:
        """Return the fault that rejects the call, or None."""
        return next((fault for fault in self.faults if fault.rejects(call)), None)

    def is_active(self, name: str, *words: str) -> bool:
        """Return True when that in-cluster fault is active for all or one of these targets."""
        return any(
            f.name == name and (not f.targets or set(f.targets) & {*words}) for f in self.faults
        )

    def lacks_capacity(self, instance_type: str, zone: str) -> bool:
        """Return True when an active fault leaves no capacity for the type in the zone."""
        return any(fault.lacks_capacity(instance_type, zone) for fault in self.faults)


ACTIVE = ActiveFaults()
"""The daemon's faults. There is one per process, because moto's backends are process-wide too."""


def parse(words: Iterable[str]) -> tuple[Fault, ...]:
    """Parse faults from `name[:argument[,…]]`. Raises JK-SANDBOX-FAULT for an unknown name."""
    return tuple(_parse(word) for word in words if word)


def _parse(word: str) -> Fault:
    name, _, rest = word.partition(":")
    if name not in FAULT_KINDS:
        raise JarkkitError(
            "JK-SANDBOX-FAULT",
            f"There is no fault {name!r}.",
            f"Choose from: {', '.join(FAULT_KINDS)}.",
        )
    given = [argument for argument in rest.split(",") if argument]
    kind = FAULT_KINDS[name]
    targets = [a for a in given if kind.in_cluster or (kind.per_instance and _TARGET.fullmatch(a))]
    regions = [a for a in given if a not in targets and _REGION.fullmatch(a)]
    calls = [a for a in given if a not in (*targets, *regions)]
    return Fault(name, tuple(calls), tuple(targets), tuple(regions))


def _matches(pattern: str, call: Call) -> bool:
    service, _, operation = pattern.partition(".")
    return service in ("", "*", call.service) and operation in ("", "*", call.operation)


def rejection_response(kind: FaultKind, call: Call) -> WsgiResponse:
    """Return the error response of that kind in the service's wording."""
    usual = (kind.status, kind.ec2_code if call.service == "ec2" else kind.code)
    status, code = kind.service_errors.get(call.service, usual)
    return error_response(call, status, code, kind.message.format(call=call))


def error_response(call: Call, status: int, code: str, message: str) -> WsgiResponse:
    """Return an error response in the call's protocol."""
    line = f"{status} {code or 'Rejected'}"
    if call.xml:
        return line, [("Content-Type", "text/xml")], [_xml(call.service, code, message)]
    body = json.dumps({"__type": code, "message": message}).encode()
    return line, [("Content-Type", "application/json"), ("x-amzn-errortype", code)], [body]


def _xml(service: str, code: str, message: str) -> bytes:
    inner = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if service == "ec2":
        text = (
            f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>r</RequestID></Response>"
        )
    elif service == "s3":
        text = f"<Error>{inner}</Error>"
    else:
        text = f"<ErrorResponse><Error><Type>Sender</Type>{inner}</Error></ErrorResponse>"
    return text.encode()
