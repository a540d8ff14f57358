"""Terraform's JSON output, parsed into jarkkit's values by pure functions.

Format of the stream: https://developer.hashicorp.com/terraform/internals/machine-readable-ui,
of the plan: https://developer.hashicorp.com/terraform/internals/json-format.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jarkkit.decisions.terraform_imports import resource_key
from jarkkit.model.events import ProgressStatus, ResourceProgress, StepEvent, StepMessage
from jarkkit.model.records import Action, Area, ResourceChange

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

_STATUS: dict[str, ProgressStatus] = {
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


def event_from_message(message: Mapping[str, Any]) -> StepEvent | None:
    """Return the event for a line of the stream; None for lines that need no event."""
    kind = message.get("type", "")
    time = str(message.get("@timestamp") or "")
    if kind in _STATUS:
        hook = message["hook"]
        return ResourceProgress(
            subject=hook["resource"]["addr"],
            action=_ACTIONS.get((hook.get("action", ""),), "update"),
            status=_STATUS[kind],
            seconds=hook.get("elapsed_seconds"),
            time=time,
        )
    if kind == "diagnostic":
        found = message["diagnostic"]
        return StepMessage(
            f"{found['summary']} {found.get('detail', '')}".strip(),
            "error" if found["severity"] == "error" else "warning",
            subject=found.get("address", ""),
            time=time,
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


def short_address(address: str) -> str:
    """Return a resource's address in short form for display."""
    for word in ("module.", "[0]", "aws_", '"'):
        address = address.replace(word, "")
    return address
