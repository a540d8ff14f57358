"""Terraform's messages, and the events, changes and errors that they become."""

from __future__ import annotations

from typing import Any

from jarkkit.decisions.terraform_messages import (
    changes_from_plan,
    changes_from_stream,
    event_from_message,
)
from jarkkit.model.events import ResourceProgress


def test_a_resource_event() -> None:
    message = {
        "type": "apply_complete",
        "@timestamp": "2026-01-01T00:00:00Z",
        "hook": {"resource": {"addr": "aws_vpc.x"}, "action": "create", "elapsed_seconds": 3},
    }
    event = event_from_message(message)
    assert isinstance(event, ResourceProgress)
    assert event.time == "2026-01-01T00:00:00Z"
    assert (event.subject, event.action, event.status, event.seconds) == (
        "aws_vpc.x", "create", "done", 3,
    )  # fmt: skip


def test_other_messages_are_no_events() -> None:
    assert event_from_message({"type": "version"}) is None


def test_plan_changes() -> None:
    plan = {
        "resource_changes": [
            {
                "address": "aws_vpc.x",
                "type": "aws_vpc",
                "mode": "managed",
                "change": {"actions": ["create"], "after": {"tags_all": {"Name": "demo"}}},
            },
            {
                "address": "aws_eip.x",
                "type": "aws_eip",
                "mode": "managed",
                "change": {"actions": ["no-op"], "after": {}},
            },
            {
                "address": "aws_kms_key.x",
                "type": "aws_kms_key",
                "mode": "managed",
                "change": {"actions": ["update"], "after": {}, "importing": {"id": "k"}},
            },
            {
                "address": "data.aws_x.x",
                "type": "aws_x",
                "mode": "data",
                "change": {"actions": ["read"], "after": {}},
            },
        ]
    }
    assert [(c.address, c.action, c.name, c.area) for c in changes_from_plan(plan)] == [
        ("aws_vpc.x", "create", "demo", "network"),
        ("aws_kms_key.x", "import", "", "cluster"),
    ]


def test_the_stream_of_a_plan_lists_its_changes() -> None:
    def message(action: str, **more: Any) -> dict[str, Any]:
        resource = {"addr": f"aws_vpc.{action}", "resource_type": "aws_vpc"}
        return {"type": "planned_change", "change": {"resource": resource, "action": action} | more}

    stream = [
        {"type": "version"},
        *(message(a) for a in ("noop", "create", "read", "update", "replace", "delete", "forget")),
        message("noop-and-import", importing={"id": "vpc-1"}),
    ]
    found = [
        (c.address.removeprefix("aws_vpc."), c.action, c.area) for c in changes_from_stream(stream)
    ]
    assert found == [
        ("create", "create", "network"),
        ("update", "update", "network"),
        ("replace", "replace", "network"),
        ("delete", "delete", "network"),
        ("noop-and-import", "import", "network"),
    ]
