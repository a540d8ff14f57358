"""Violations in the words, and with the error codes, of each service. Pure.

Sources: responses that users published. IAM: `Value '…' at 'tags.6.member.value'`
(https://github.com/SWO-GS/auto-tag/issues/90) and "The specified value for roleName is invalid"
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html has the characters);
CloudWatch Logs (https://github.com/awslabs/aws-embedded-metrics-java/issues/65); EFS
(https://github.com/aws/aws-sdk-js-v3/pull/1288, https://github.com/aws-controllers-k8s/community/issues/2182);
EKS (https://github.com/surajincloud/kubectl-eks/issues/72,
https://github.com/terraform-aws-modules/terraform-aws-eks/issues/1713); EC2
(https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html,
https://github.com/soto-project/soto/issues/291).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jarkkit.sandbox.account.validation.violations import Path, Violation
from jarkkit.sandbox.api_calls import Call


class ParameterError(NamedTuple):
    """An error of a service."""

    code: str
    message: str
    status: int = 400


# Error code for parameters that violate the model, by signing name; else by protocol.
_CODES = {
    "budgets": "InvalidParameterException",
    "ecr": "InvalidParameterException",
    "eks": "InvalidParameterException",
    "logs": "InvalidParameterException",
    "monitoring": "ValidationError",
    "pricing": "InvalidParameterException",
    "sns": "InvalidParameter",
    "sqs": "InvalidParameterValue",
    "tagging": "InvalidParameterException",
}
_IAM_NAMES = (
    "The specified value for {name} is invalid. It must contain only alphanumeric characters "
    "and/or the following: +=,.@_-"
)
_IAM_NAME_RULE = "Member must satisfy regular expression pattern: [\\w+=,.@-]+"


def error_of(service: str, xml: bool, violations: Sequence[Violation]) -> ParameterError:
    """Return the service's error for violations of its API model.

    Args:
        service: the signing name of the service.
        xml: whether it responds in XML.
        violations: at least one.
    """
    first = violations[0]
    if service == "ec2":
        return _ec2(first)
    if service == "s3":
        return _s3(first)
    code = validation_code(service, xml)
    if first.kind == "type":
        return ParameterError(
            "MalformedInput" if xml else "SerializationException", first.constraint
        )
    if first.kind == "unknown":
        return ParameterError(code, f"The parameter {_coral_path(first.path)} is not recognized")
    if service == "sqs" and first.kind == "required":
        message = f"The request must contain the parameter {first.path[-1]}."
        return ParameterError("MissingParameter", message)
    if first.kind == "pattern" and (message := _of_name(service, first)):
        return ParameterError(code, message)
    return ParameterError(code, coral_message(violations))


def unknown_operation(call: Call) -> ParameterError:
    """Return the service's error for an operation that its API does not have."""
    if call.xml:
        message = f"The action {call.operation} is not valid for this web service."
        return ParameterError("InvalidAction", message)
    return ParameterError("UnknownOperationException", f"Unknown operation {call.operation}")


def validation_code(service: str, xml: bool) -> str:
    """Return the code that a service gives parameters that violate its API model."""
    return _CODES.get(service, "ValidationError" if xml else "ValidationException")


def _of_name(service: str, violation: Violation) -> str:
    """Return the service's own message about the characters of a name; else empty."""
    name = _lower(str(violation.path[-1]))
    if service == "iam" and violation.constraint == _IAM_NAME_RULE and name.endswith("Name"):
        return _IAM_NAMES.format(name=name)
    return eks_name(name) if service == "eks" and name in ("name", "clusterName") else ""


def eks_name(parameter: str) -> str:
    """Return EKS' message about a cluster's name with invalid characters."""
    return (
        f"The parameter {parameter} contains invalid characters. It should conform to the regular "
        'expression "^[0-9A-Za-z][A-Za-z0-9-_]*". In other words, it should start with a number or '
        "letter, and can contain numbers, letters, dashes, and underscores."
    )


def coral_message(violations: Sequence[Violation]) -> str:
    """Return the message of AWS' usual framework about all violations."""
    count = len(violations)
    what = "error" if count == 1 else "errors"
    return f"{count} validation {what} detected: {'; '.join(map(_coral_sentence, violations))}"


def _coral_sentence(violation: Violation) -> str:
    value = (
        "Value null"
        if violation.value is None
        else f"Value '{_java(violation.value)}'"
        if violation.shown
        else "Value"
    )
    where = _coral_path(violation.path)
    return f"{value} at '{where}' failed to satisfy constraint: {violation.constraint}"


def _coral_path(path: Path) -> str:
    """Return a path as AWS writes it: `tags.6.member.value`."""
    words = (f"{w}.member" if isinstance(w, int) else _lower(str(w)) for w in path)
    return ".".join(words)


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def _java(value: Any) -> str:
    """Return a value as Java prints it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}={_java(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_java, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


# -- EC2 -------------------------------------------------------------------------------------------


def _ec2(violation: Violation) -> ParameterError:
    name = str(next((w for w in reversed(violation.path) if isinstance(w, str)), ""))
    if violation.kind == "unknown":
        return ParameterError("UnknownParameter", f"The parameter {name} is not recognized")
    if violation.kind == "required":
        return ParameterError("MissingParameter", f"The request must contain the parameter {name}")
    value = _java(violation.value) if violation.shown else "…"
    why = "" if violation.kind == "enum" else f" {_ec2_reason(violation)}"
    message = f"Value ({value}) for parameter {_lower(name)} is invalid.{why}"
    return ParameterError("InvalidParameterValue", message)


def _ec2_reason(violation: Violation) -> str:
    """Return EC2's sentence about a constraint."""
    needs = violation.constraint
    if violation.kind == "range":
        return needs.replace("Member must have value", "Expecting a value") + "."
    if violation.kind == "type":
        return f"Expecting {needs.rpartition('converted to ')[2] or needs}."
    return needs.replace("Member must", "It must") + "."


def _s3(violation: Violation) -> ParameterError:
    if violation.kind == "required":
        return ParameterError("MalformedXML", "The XML you provided was not well-formed or did not "
                        "validate against our published schema")  # fmt: skip
    return ParameterError("InvalidArgument", f"{violation.path[-1]}: {violation.constraint}")
