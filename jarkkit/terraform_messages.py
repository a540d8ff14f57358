"""What Terraform says, turned into our values. Pure functions over its JSON.

Format of the stream: https://developer.hashicorp.com/terraform/internals/machine-readable-ui,
of the plan: https://developer.hashicorp.com/terraform/internals/json-format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from jarkkit.adoption import key_of
from jarkkit.clock import now
from jarkkit.errors import JarkkitError
from jarkkit.records import Action, Area, Event, ResourceChange, Step

_ACTIONS: dict[tuple[str, ...], Action] = {
    ("no-op",): "no-op",
    ("create",): "create",
    ("read",): "read",
    ("update",): "update",
    ("delete",): "delete",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
}

# The stream has words of its own.
_STREAMED: dict[str, Action] = {
    "noop": "no-op",
    "create": "create",
    "read": "read",
    "update": "update",
    "replace": "replace",
    "delete": "delete",
    "import": "import",
    "move": "no-op",
    "forget": "no-op",
}

_STATUS = {
    "apply_start": "started",
    "apply_progress": "running",
    "apply_complete": "done",
    "apply_errored": "failed",
}

# First match wins: (how the resource type begins, its area).
_AREA_OF_TYPE: tuple[tuple[str, Area], ...] = (
    ("aws_eks_addon", "add-ons"),
    ("aws_eks_node_group", "nodes"),
    ("aws_launch_template", "nodes"),
    ("aws_eks_pod_identity", "identity"),
    ("aws_eks_access", "identity"),
    ("aws_iam", "identity"),
    ("aws_eks", "cluster"),
    ("aws_kms", "cluster"),
    ("aws_efs", "storage"),
    ("aws_s3", "storage"),
    ("aws_cloudwatch_log", "observability"),
    ("aws_prometheus", "observability"),
    ("aws_flow_log", "observability"),
    ("aws_sqs", "nodes"),
    ("aws_cloudwatch_event", "nodes"),
    ("aws_budgets", "budget"),
)


def area_of(terraform_type: str) -> Area:
    """The area a resource type is shown under; what is not listed is network."""
    for beginning, area in _AREA_OF_TYPE:
        if terraform_type.startswith(beginning):
            return area
    return "network"


def event_of(message: Mapping[str, Any], step: Step) -> Event | None:
    """The event that a line of the stream stands for; None for lines nobody needs to see."""
    kind = message.get("type", "")
    time = str(message.get("@timestamp") or now())
    if kind in _STATUS:
        hook = message["hook"]
        return Event(
            time=time,
            step=step,
            kind="resource",
            subject=hook["resource"]["addr"],
            action=_ACTIONS.get((hook.get("action", ""),), "update"),
            status=_STATUS[kind],  # type: ignore[arg-type]
            seconds=hook.get("elapsed_seconds"),
        )
    if kind == "diagnostic":
        found = message["diagnostic"]
        return Event(
            time=time,
            step=step,
            kind="error" if found["severity"] == "error" else "warning",
            subject=found.get("address", ""),
            message=f"{found['summary']} {found.get('detail', '')}".strip(),
        )
    return None


def changes_of(plan: Mapping[str, Any]) -> tuple[ResourceChange, ...]:
    """The resource changes in `terraform show -json PLAN`, no-ops left out."""
    changes = []
    for item in plan.get("resource_changes", ()):
        change = item["change"]
        action = _ACTIONS.get(tuple(change["actions"]), "update")
        name = key_of(item["type"], change.get("after") or change.get("before") or {})
        if item.get("mode") != "data":
            changes += _changes(item["address"], item["type"], action, change, name)
    return tuple(changes)


def planned(messages: Iterable[Mapping[str, Any]]) -> tuple[ResourceChange, ...]:
    """The resource changes in the stream of `terraform plan -json`: what `changes_of` gives, but
    without the names of things, and at once. `terraform show` takes seconds to load the provider.
    """
    changes = []
    for message in messages:
        if message.get("type") == "planned_change":
            change = message["change"]
            resource = change["resource"]
            action = _STREAMED.get(change["action"], "update")
            changes += _changes(resource["addr"], resource["resource_type"], action, change)
    return tuple(changes)


def _changes(
    address: str, kind: str, action: Action, change: Mapping[str, Any], name: str = ""
) -> list[ResourceChange]:
    """The change as ours; none for what changes nothing."""
    if "importing" in change and action != "replace":
        action = "import"
    if action in ("no-op", "read"):
        return []
    return [
        ResourceChange(address=address, type=kind, area=area_of(kind), action=action, name=name)
    ]


# (pattern in Terraform's or the provider's words, code, what to do)
_KNOWN: tuple[tuple[str, str, str], ...] = (
    (
        r"Error acquiring the state lock",
        "JK-TF-LOCKED",
        "Wait for the other run. If it is certain that it is gone: in the deployment's folder run "
        "`terraform force-unlock LOCK_ID` with the ID shown below.",
    ),
    (
        r"Saved plan is stale|Saved plan does not match|plan file can no longer be applied",
        "JK-PLAN-STALE",
        "Make the plan again: jarkkit plan",
    ),
    (
        r"ExpiredToken|token .*is expired|security token .*(invalid|expired)|InvalidClientTokenId|"
        r"UnrecognizedClientException|RequestExpired|SignatureDoesNotMatch",
        "JK-AWS-EXPIRED",
        "Renew the credentials (for IAM Identity Center: aws sso login), then run the step again: "
        "it goes on where it stopped.",
    ),
    (
        r"No valid credential sources|no EC2 IMDS role found|failed to refresh cached credentials",
        "JK-AWS-NO-CREDENTIALS",
        "Give credentials (AWS_PROFILE, environment variables or aws sso login), then run again.",
    ),
    (
        r"AccessDenied|UnauthorizedOperation|is not authorized to perform|AuthFailure",
        "JK-AWS-DENIED",
        "Let the named action be allowed for these credentials, then run the step again: it goes "
        "on where it stopped.",
    ),
    (
        r"InsufficientInstanceCapacity|InsufficientCapacity|UnsupportedAvailabilityZone",
        "JK-AWS-CAPACITY",
        "Choose another instance type, other zones or another Region, or try later.",
    ),
    (
        r"LimitExceeded|VcpuLimitExceeded|quota|AddressLimitExceeded|TooMany(?!Requests)",
        "JK-AWS-QUOTA",
        "Ask for a higher quota in the Service Quotas console, or release what uses it up.",
    ),
    (
        r"Throttling|TooManyRequests|RequestLimitExceeded|Rate exceeded",
        "JK-AWS-THROTTLED",
        "Wait a minute, then run the step again: it goes on where it stopped.",
    ),
    (
        r"AlreadyExists|already exists|already in use|BucketAlreadyOwnedByYou",
        "JK-NAME-TAKEN",
        "Choose another name for the deployment, or remove what is in the way.",
    ),
    (
        r"connection refused|no such host|dial tcp|i/o timeout|request send failed|"
        r"connection reset",
        "JK-AWS-UNREACHABLE",
        "Check network, proxy and endpoint (for a rehearsal: jarkkit sandbox status), then run the "
        "step again: it goes on where it stopped.",
    ),
    (
        r"Failed to query available provider packages|Failed to install provider|"
        r"Could not retrieve the list of available versions|provider registry|"
        r"Required plugins are not installed|Inconsistent dependency lock file",
        "JK-TF-PROVIDER",
        "Without internet access, name a folder that holds the provider: "
        "export JARKKIT_TF_MIRROR=FOLDER (made by `terraform providers mirror FOLDER`).",
    ),
    (
        r"Invalid value for variable|Unsupported argument|Reference to undeclared|"
        r"Invalid expression|Missing required argument|precondition failed|Resource precondition",
        "JK-TF-INVALID",
        "Correct the setting that the message names.",
    ),
)


def failure(exit_code: int, diagnostics: Iterable[str], tail: str, doing: str) -> JarkkitError:
    """The error that Terraform's exit stands for, with what it said as evidence (cut to size).

    Known causes get a code of their own; the first diagnostic that has one decides.
    """
    said = [text for text in diagnostics if text]
    text = "\n".join(said) or tail
    if exit_code < 0:
        return JarkkitError(
            "JK-TF-KILLED",
            f"Terraform was ended by signal {-exit_code} during {doing}.",
            "Run the step again: what was begun is looked up in the account and taken over.",
            evidence=_cut(tail),
        )
    for statement in (*said, tail):
        for pattern, code, fix in _KNOWN:
            if re.search(pattern, statement, re.IGNORECASE if code == "JK-AWS-QUOTA" else 0):
                return JarkkitError(code, _first_line(statement), fix, evidence=_cut(text))
    return JarkkitError(
        "JK-TF-FAILED",
        f"Terraform ended with exit code {exit_code} during {doing}: {_first_line(text)}",
        "Read the evidence; after removing the cause run the step again: it goes on where it "
        "stopped. The raw log lies in the deployment's logs folder.",
        evidence=_cut(text),
    )


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("Error: ")]
    line = next(iter(errors or lines), "no message")
    return line if len(line) <= 300 else line[:297] + "..."


def _cut(text: str, limit: int = 1500) -> str:
    return text if len(text) <= limit else text[: limit - 20] + "\n... (see the log)"


def short_address(address: str) -> str:
    """A resource's address without the words that all have in common, for people."""
    for word in ("module.", "[0]", "aws_", '"'):
        address = address.replace(word, "")
    return address
