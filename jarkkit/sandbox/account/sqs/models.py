"""The SQS backend."""

from __future__ import annotations

from typing import Any

from moto.sqs.models import SQSBackend


class SqsBackend(SQSBackend):
    """Amazon SQS of one account and Region."""

    def receive_message(
        self,
        queue_name: str,
        count: int,
        wait_seconds_timeout: int,
        visibility_timeout: int,
        message_attribute_names: list[str] | None = None,
    ) -> list[Any]:
        """Handle ReceiveMessage without waiting.

        The account serves one call at a time, so no client could send a message while moto waits.
        The server waits before the call instead (`long_polling`).
        """
        return super().receive_message(
            queue_name, count, 0, visibility_timeout, message_attribute_names
        )
