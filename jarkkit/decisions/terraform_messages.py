"""Terraform's JSON output, parsed into jarkkit's values by pure functions.

Format of the stream: https://developer.hashicorp.com/terraform/internals/machine-readable-ui,
of the plan: https://developer.hashicorp.com/terraform/internals/json-format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from jarkkit.decisions.terraform_imports import resource_key
from jarkkit.model.clock import now
from jarkkit.model.errors import JarkkitError, ObjectInUse
from jarkkit.model.records import Action, Area, Event, ResourceChange, Step

_ACTIONS: dict[tuple[str, ...], Action] = {
    ("no-op",): "no-op",
    ("create",): "create",
    ("read",): "read",
    ("update",): "update",
    ("delete",): "delete",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
}

# The stream uses different action names.
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

# First match wins: (prefix of the resource type, its area).
_AREA_OF_TYPE: tuple[tuple[str, Area], ...] = (
    ("aws_eks_addon", "add-ons"),
    ("aws_eks_node_group", "nodes"),
    ("aws_launch_template", "nodes"),
    ("aws_eks_pod_identity", "identity"),
    ("aws_eks_access", "identity"),
    ("aws_iam", "identity"),
    ("aws_eks", "cluster"),
    ("terraform_data", "cluster"),
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
    """Return the area of a resource type; unlisted types belong to network."""
    for beginning, area in _AREA_OF_TYPE:
        if terraform_type.startswith(beginning):
            return area
    return "network"


def event_from_message(message: Mapping[str, Any], step: Step) -> Event | None:
    """Return the event for a line of the stream; None for lines that need no event."""
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


def changes_from_plan(plan: Mapping[str, Any]) -> tuple[ResourceChange, ...]:
    """Return the resource changes in `terraform show -json PLAN`, without no-ops."""
    changes = []
    for item in plan.get("resource_changes", ()):
        change = item["change"]
        action = _ACTIONS.get(tuple(change["actions"]), "update")
        before, after = change.get("before") or {}, change.get("after") or {}
        name = resource_key(item["type"], after) or resource_key(item["type"], before)
        if item.get("mode") != "data":
            changes += [
                found.model_copy(
                    update={
                        "resource_id": str(before.get("id") or ""),
                        "reason": item.get("action_reason", "").removeprefix("replace_because_"),
                        "forced_by": _attribute_names(change.get("replace_paths") or ()),
                    }
                )
                for found in _changes(item["address"], item["type"], action, change, name)
            ]
    return tuple(changes)


def _attribute_names(paths: Iterable[Iterable[str | int]]) -> tuple[str, ...]:
    """Return paths like `["vpc_config", 0, "subnet_ids"]` as `vpc_config.subnet_ids`."""
    named = (".".join(word for word in path if isinstance(word, str)) for path in paths)
    return tuple(dict.fromkeys(named))


def changes_from_stream(messages: Iterable[Mapping[str, Any]]) -> tuple[ResourceChange, ...]:
    """Return the resource changes in the stream of `terraform plan -json`.

    They have no resource names, but need no `terraform show`, which takes seconds to load the
    provider.
    """
    changes = []
    for message in messages:
        if message.get("type") == "planned_change":
            change = message["change"]
            resource = change["resource"]
            action = _STREAMED.get(change["action"], "update")
            changes += [
                found.model_copy(update={"reason": change.get("reason", "")})
                for found in _changes(resource["addr"], resource["resource_type"], action, change)
            ]
    return tuple(changes)


def _changes(
    address: str, kind: str, action: Action, change: Mapping[str, Any], name: str = ""
) -> list[ResourceChange]:
    """Return the resource change as a list; empty for no-ops and reads."""
    if "importing" in change and action != "replace":
        action = "import"
    if action in ("no-op", "read"):
        return []
    return [
        ResourceChange(address=address, type=kind, area=area_of(kind), action=action, name=name)
    ]


# (pattern in the text of Terraform or the provider, code, fix)
_KNOWN: tuple[tuple[str, str, str], ...] = (
    (
        r"Error acquiring the state lock",
        "JK-TF-LOCKED",
        "Wait for the other run. If you are certain that it has ended, run "
        "`terraform force-unlock LOCK_ID` in the deployment's folder, with the ID shown below.",
    ),
    (
        r"Saved plan is stale|Saved plan does not match|plan file can no longer be applied",
        "JK-PLAN-STALE",
        "Create a new plan: jarkkit plan",
    ),
    (
        r"ExpiredToken|token .*is expired|security token .*(invalid|expired)|InvalidClientTokenId|"
        r"UnrecognizedClientException|RequestExpired|SignatureDoesNotMatch",
        "JK-AWS-EXPIRED",
        "Renew the credentials (for IAM Identity Center: aws sso login), then run the step again: "
        "it continues where it stopped.",
    ),
    (
        r"No valid credential sources|no EC2 IMDS role found|failed to refresh cached credentials",
        "JK-AWS-NO-CREDENTIALS",
        "Set up credentials (AWS_PROFILE, environment variables or aws sso login), then run again.",
    ),
    (
        r"AccessDenied|UnauthorizedOperation|is not authorized to perform|AuthFailure",
        "JK-AWS-DENIED",
        "Allow the named action for these credentials, then run the step again: it continues "
        "where it stopped.",
    ),
    (
        r"InsufficientInstanceCapacity|InsufficientCapacity|UnsupportedAvailabilityZone",
        "JK-AWS-CAPACITY",
        "Choose another instance type, other zones or another Region, or try again later.",
    ),
    (
        r"(?i:LimitExceeded|VcpuLimitExceeded|quota|AddressLimitExceeded|TooMany(?!Requests))",
        "JK-AWS-QUOTA",
        "Request a quota increase in the Service Quotas console, or delete resources that use it.",
    ),
    (
        r"Throttling|TooManyRequests|RequestLimitExceeded|Rate exceeded",
        "JK-AWS-THROTTLED",
        "Wait a minute, then run the step again: it continues where it stopped.",
    ),
    (
        r"AlreadyExists|already exists|already in use|BucketAlreadyOwnedByYou",
        "JK-NAME-TAKEN",
        "Choose another name for the deployment, or delete the existing resource.",
    ),
    (
        r"connection refused|no such host|dial tcp|i/o timeout|request send failed|"
        r"connection reset",
        "JK-AWS-UNREACHABLE",
        "Check your network, proxy and endpoint (in the sandbox: jarkkit sandbox status), then run "
        "the step again: it continues where it stopped.",
    ),
    (
        r"Addon version specified is not supported",
        "JK-ADDON-VERSION",
        "EKS has withdrawn the version that an earlier plan pinned. Move on: jarkkit plan "
        "--upgrade",
    ),
    (
        r"Failed to query available provider packages|Failed to install provider|"
        r"Could not retrieve the list of available versions|provider registry|"
        r"Required plugins are not installed|Inconsistent dependency lock file",
        "JK-TF-PROVIDER",
        "Without internet access, set JARKKIT_TF_MIRROR to a folder that contains exactly the "
        "version that the message names (create it in the folder terraform/ with `terraform "
        "providers mirror FOLDER`, or `tofu …`).",
    ),
    (
        r"Invalid value for variable|Unsupported argument|Reference to undeclared|"
        r"Invalid expression|Missing required argument|precondition failed|Resource precondition",
        "JK-TF-INVALID",
        "Correct the setting that the message names.",
    ),
)


_IN_USE = re.compile("DependencyViolation|dependencies and cannot be deleted")


def terraform_error(
    exit_code: int, diagnostics: Iterable[str], tail: str, doing: str
) -> JarkkitError:
    """Return the error for Terraform's exit code, with its output as evidence (truncated).

    Known causes have their own error codes; the first diagnostic with a known cause decides.
    """
    messages = [text for text in diagnostics if text]
    text = "\n".join(messages) or tail
    if exit_code < 0:
        return JarkkitError(
            "JK-TF-KILLED",
            f"Signal {-exit_code} ended Terraform during {doing}.",
            "Run the step again: it imports the resources that this run already created.",
            evidence=_cut(tail),
        )
    for statement in (*messages, tail):
        for pattern, code, fix in _KNOWN:
            if re.search(pattern, statement):
                return JarkkitError(code, _first_line(statement), fix, evidence=_cut(text))
    kind = ObjectInUse if _IN_USE.search(text) else JarkkitError
    return kind(
        "JK-TF-FAILED",
        f"Terraform failed with exit code {exit_code} during {doing}: {_first_line(text)}",
        "Read the evidence, fix the cause, then run the step again: it continues where it "
        "stopped. The raw log is in the deployment's logs folder.",
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
    """Return a resource's address in short form for display."""
    for word in ("module.", "[0]", "aws_", '"'):
        address = address.replace(word, "")
    return address
