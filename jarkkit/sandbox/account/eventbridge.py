"""Events from AWS services on EventBridge, delivered to the targets of the account's rules.

The shapes are those of "EC2 Spot Instance interruption notices" and "Monitor Amazon EC2 instance
state changes with EventBridge" in the EC2 user guide, read 2026-11.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

from moto.core.utils import iso_8601_datetime_without_milliseconds, utcnow
from moto.events.models import events_backends
from moto.moto_api._internal import mock_random as random
from moto.sqs.exceptions import QueueDoesNotExist
from moto.sqs.models import sqs_backends


def publish(
    account_id: str,
    region: str,
    *,
    source: str,
    detail_type: str,
    resources: list[str],
    detail: dict[str, Any],
) -> None:
    """Send an event to the queues that the default bus's matching rules have as targets.

    This does not use moto's own delivery, which needs a library for input transformers that no rule
    here uses. Targets other than queues receive nothing.
    """
    event: Any = {
        "version": "0",
        "id": str(random.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": account_id,
        "time": iso_8601_datetime_without_milliseconds(utcnow()),
        "region": region,
        "resources": resources,
        "detail": detail,
    }
    rules = events_backends[account_id][region].event_buses["default"].rules
    for rule in rules.values():
        if rule.state == "ENABLED" and rule.event_pattern.matches_event(event):
            _send([str(target["Arn"]) for target in rule.targets], json.dumps(event))


def _send(arns: list[str], body: str) -> None:
    for arn in arns:
        _, _, service, region, account_id, name = arn.split(":", 5)
        # A deleted queue is no error for the sender: on AWS it is a metric of the rule.
        with contextlib.suppress(QueueDoesNotExist):
            if service == "sqs":
                sqs_backends[account_id][region].send_message(queue_name=name, message_body=body)
