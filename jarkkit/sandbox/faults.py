"""Things that go wrong on purpose, by name, so that their remedies can be practised.

A fault is `name` or `name:argument,…`; an argument names calls as `service.Operation`, of which
either part may be left out, or Regions, and then only calls there are meant: `throttled:eks,
eu-west-1`. Faults that refuse a call answer in the service's own error format. A lack of
capacity is for the account to find, which knows what a call would launch where; its arguments may
also name instance types, families and zones: `insufficient-capacity:g5,us-west-2a`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from jarkkit.errors import JarkkitError
from jarkkit.sandbox.calls import Call

# Status line, headers, body: what a WSGI application says.
Answer = tuple[str, list[tuple[str, str]], list[bytes]]


@dataclass(frozen=True)
class Kind:
    """What a fault does to the calls that it matches.

    Attributes:
        code: the AWS error code in newer protocols; `ec2_code` is that of EC2, which has its own.
        of_services: status and code of services that have their own, too.
        calls: what it matches without an argument; empty means everything.
        placed: the account decides for each instance; only calls that are named are refused whole.
        in_cluster: something in a cluster goes wrong and no call is refused; arguments name what.
    """

    title: str
    code: str
    ec2_code: str
    message: str
    status: int = 400
    calls: tuple[str, ...] = ()
    unreachable: bool = False
    placed: bool = False
    in_cluster: bool = False
    of_services: Mapping[str, tuple[int, str]] = field(default_factory=dict)


# Services whose errors are older than the suffix Exception.
_OLD = ("iam", "sts", "elasticloadbalancing", "autoscaling", "monitoring")

KINDS: dict[str, Kind] = {
    "access-denied": Kind(
        "calls are refused for lack of a permission",
        "AccessDeniedException",
        "UnauthorizedOperation",
        "User: arn:aws:iam::123456789012:user/learner is not authorized to perform: {call} "
        "because no identity-based policy allows the {call} action",
        status=403,
        of_services=dict.fromkeys((*_OLD, "s3"), (403, "AccessDenied")),
    ),
    "expired-credentials": Kind(
        "the credentials have expired",
        "ExpiredTokenException",
        "RequestExpired",
        "The security token included in the request is expired",
        status=403,
        of_services=dict.fromkeys((*_OLD, "s3"), (403, "ExpiredToken")),
    ),
    "throttled": Kind(
        "AWS answers that there are too many calls",
        "ThrottlingException",
        "RequestLimitExceeded",
        "Rate exceeded",
        of_services={
            **dict.fromkeys(_OLD, (400, "Throttling")),
            "ec2": (503, "RequestLimitExceeded"),
            "eks": (429, "ThrottlingException"),
            "s3": (503, "SlowDown"),
            "servicequotas": (400, "TooManyRequestsException"),
        },
    ),
    "insufficient-capacity": Kind(
        "AWS has no capacity for instances, or for those of a type, family or zone",
        "InsufficientInstanceCapacity",
        "InsufficientInstanceCapacity",
        "We currently do not have sufficient capacity in the Availability Zone you requested",
        status=500,
        calls=("ec2.RunInstances", "ec2.CreateFleet"),
        placed=True,
    ),
    "apply-fails": Kind(
        "a call fails for a reason of its own",
        "InvalidParameterException",
        "InvalidParameterValue",
        "The request was refused by a rehearsed fault",
        calls=("ec2.CreateNatGateway",),
    ),
    "node-not-joining": Kind("instances start and never become nodes", "", "", "", in_cluster=True),
    "node-unhealthy": Kind("kubelets of nodes stop working", "", "", "", in_cluster=True),
    "spot-interruption": Kind("AWS wants its Spot instances back", "", "", "", in_cluster=True),
    # Arguments: what a pod's `namespace/name` begins with, or what its image contains.
    "image-pull": Kind("images of new pods cannot be pulled", "", "", "", in_cluster=True),
    "crash-loop": Kind("new pods start and end again and again", "", "", "", in_cluster=True),
    "oom": Kind("new pods use more memory than they may", "", "", "", in_cluster=True),
    "helm-timeout": Kind("new pods never become ready", "", "", "", in_cluster=True),
    "leaked-load-balancer": Kind(
        "the load balancer controller leaves behind what it made", "", "", "", in_cluster=True
    ),
    "api-unreachable": Kind("the endpoint does not answer", "", "", "", calls=(), unreachable=True),
}


# No fault: so AWS answers in a Region that the account has not enabled, which knows no keys of it.
NOT_ENABLED = Kind(
    "the Region is not enabled",
    "UnrecognizedClientException",
    "AuthFailure",
    "The security token included in the request is invalid.",
    status=403,
    of_services={
        **dict.fromkeys(_OLD, (403, "InvalidClientTokenId")),
        "ec2": (401, "AuthFailure"),
        "s3": (403, "InvalidAccessKeyId"),
    },
)

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
# An instance type, a family or a zone: small letters with a digit among them. `ec2` is a service.
_PLACE = re.compile(r"(?!ec2$)[a-z][a-z0-9.-]*\d[a-z0-9.-]*")


@dataclass(frozen=True)
class Fault:
    """A fault that is switched on.

    Attributes:
        calls: patterns of calls, as they were given.
        regions: where these calls are meant; empty means everywhere.
        places: instance types, families and zones, as they were given.
    """

    name: str
    calls: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """What it does."""
        return KINDS[self.name]

    def __str__(self) -> str:
        arguments = ",".join((*self.calls, *self.places, *self.regions))
        return f"{self.name}:{arguments}" if arguments else self.name

    def hits(self, call: Call) -> bool:
        """True when the call is one that this fault is about."""
        if self.regions and call.region not in self.regions:
            return False
        calls = self.calls or self.kind.calls
        return not calls or any(_matches(pattern, call) for pattern in calls)

    def refuses(self, call: Call) -> bool:
        """True when the whole call is refused before the account sees it."""
        if self.kind.in_cluster:
            return False
        return self.hits(call) and (not self.kind.placed or bool(self.calls))

    def is_short_of(self, instance_type: str, zone: str) -> bool:
        """True when this fault is that instances of the type cannot be had in the zone."""
        if not self.kind.placed or (self.calls and not self.places):
            return False
        family = instance_type.partition(".")[0]
        return not self.places or bool({instance_type, family, zone} & set(self.places))


@dataclass
class Active:
    """The faults that are switched on."""

    faults: tuple[Fault, ...] = ()

    def switch(self, words: Iterable[str]) -> None:
        """Switch these on and all others off. Raises JK-SANDBOX-FAULT, and then changes nothing."""
        self.faults = parse(words)

    def refusing(self, call: Call) -> Fault | None:
        """The fault that refuses the call, if any does."""
        return next((fault for fault in self.faults if fault.refuses(call)), None)

    def on(self, name: str, *words: str) -> bool:
        """True when that fault of clusters is on, for all or for one of these words."""
        return any(
            f.name == name and (not f.places or set(f.places) & {*words}) for f in self.faults
        )

    def shortage(self, instance_type: str, zone: str) -> bool:
        """True when AWS is to have no capacity for the type in the zone."""
        return any(fault.is_short_of(instance_type, zone) for fault in self.faults)


ACTIVE = Active()
"""The daemon's faults. One per process: moto's backends, which ask it, are process-wide too."""


def parse(words: Iterable[str]) -> tuple[Fault, ...]:
    """Faults from `name[:argument[,…]]`. Raises JK-SANDBOX-FAULT for an unknown name."""
    return tuple(_parse(word) for word in words if word)


def _parse(word: str) -> Fault:
    name, _, rest = word.partition(":")
    if name not in KINDS:
        raise JarkkitError(
            "JK-SANDBOX-FAULT",
            f"There is no fault {name!r}.",
            f"The faults are: {', '.join(KINDS)}.",
        )
    given = [argument for argument in rest.split(",") if argument]
    kind = KINDS[name]
    places = [a for a in given if kind.in_cluster or (kind.placed and _PLACE.fullmatch(a))]
    regions = [a for a in given if a not in places and _REGION.fullmatch(a)]
    calls = [a for a in given if a not in (*places, *regions)]
    return Fault(name, tuple(calls), tuple(places), tuple(regions))


def _matches(pattern: str, call: Call) -> bool:
    service, _, operation = pattern.partition(".")
    return service in ("", "*", call.service) and operation in ("", "*", call.operation)


def refusal(kind: Kind, call: Call) -> Answer:
    """A refusal of that kind as the service would word it."""
    usual = (kind.status, kind.ec2_code if call.service == "ec2" else kind.code)
    status, code = kind.of_services.get(call.service, usual)
    return error(call, status, code, kind.message.format(call=call))


def error(call: Call, status: int, code: str, message: str) -> Answer:
    """An error in the format in which the call wants its answer."""
    line = f"{status} {code or 'Refused'}"
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
