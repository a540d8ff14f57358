"""Things that go wrong on purpose, by name, so that their remedies can be practised.

A fault is `name` or `name:argument`; the argument names calls as `service.Operation`, and either
part may be left out. Faults that refuse a call answer in the service's own error format.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from xml.sax.saxutils import escape

from jarkkit.errors import JarkkitError
from jarkkit.sandbox.calls import Call

# Status line, headers, body: what a WSGI application says.
Answer = tuple[str, list[tuple[str, str]], list[bytes]]


@dataclass(frozen=True)
class Kind:
    """What a fault does to the calls that it matches.

    Attributes:
        codes: the AWS error code by protocol family; `ec2` has names of its own.
        calls: what it matches without an argument; empty means everything.
    """

    title: str
    code: str
    ec2_code: str
    message: str
    status: int = 400
    calls: tuple[str, ...] = ()
    unreachable: bool = False


KINDS: dict[str, Kind] = {
    "access-denied": Kind(
        "calls are refused for lack of a permission",
        "AccessDeniedException",
        "UnauthorizedOperation",
        "User: arn:aws:iam::123456789012:user/learner is not authorized to perform: {call} "
        "because no identity-based policy allows the {call} action",
        status=403,
    ),
    "expired-credentials": Kind(
        "the credentials have expired",
        "ExpiredTokenException",
        "RequestExpired",
        "The security token included in the request is expired",
        status=403,
    ),
    "throttled": Kind(
        "AWS answers that there are too many calls",
        "ThrottlingException",
        "RequestLimitExceeded",
        "Rate exceeded",
    ),
    "insufficient-capacity": Kind(
        "AWS has no capacity for the instance type",
        "InsufficientInstanceCapacity",
        "InsufficientInstanceCapacity",
        "We currently do not have sufficient capacity in the Availability Zone you requested",
        status=500,
        calls=("ec2.RunInstances", "ec2.CreateFleet"),
    ),
    "apply-fails": Kind(
        "a call fails for a reason of its own",
        "InvalidParameterException",
        "InvalidParameterValue",
        "The request was refused by a rehearsed fault",
        calls=("ec2.CreateNatGateway",),
    ),
    "api-unreachable": Kind("the endpoint does not answer", "", "", "", calls=(), unreachable=True),
}


@dataclass(frozen=True)
class Fault:
    """A fault that is switched on."""

    name: str
    calls: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """What it does."""
        return KINDS[self.name]

    def __str__(self) -> str:
        return ":".join([self.name, *self.calls])

    def hits(self, call: Call) -> bool:
        """True when the call is one that this fault refuses."""
        calls = self.calls or self.kind.calls
        return not calls or any(_matches(pattern, call) for pattern in calls)


def parse(words: Iterable[str]) -> tuple[Fault, ...]:
    """Faults from `name[:service.Operation[,…]]`. Raises JK-SANDBOX-FAULT for an unknown name."""
    return tuple(_parse(word) for word in words if word)


def _parse(word: str) -> Fault:
    name, _, calls = word.partition(":")
    if name not in KINDS:
        raise JarkkitError(
            "JK-SANDBOX-FAULT",
            f"There is no fault {name!r}.",
            f"The faults are: {', '.join(KINDS)}.",
        )
    return Fault(name, tuple(call for call in calls.split(",") if call))


def _matches(pattern: str, call: Call) -> bool:
    service, _, operation = pattern.partition(".")
    return service in ("", "*", call.service) and operation in ("", "*", call.operation)


def answer(fault: Fault, call: Call) -> Answer:
    """The refusal as the service would word it."""
    kind = fault.kind
    code = kind.ec2_code if call.service == "ec2" else kind.code
    return error(call, kind.status, code, kind.message.format(call=call))


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
