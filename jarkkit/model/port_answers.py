"""Answers of ports that have several parts, each with a name. They are not saved."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from jarkkit.model.records import Event, OwnedResource


class ResourceInventory(NamedTuple):
    """What a scan of the account found.

    Attributes:
        found: the deployment's resources.
        scanned: the locations that were scanned.
        inaccessible: the locations that could not be scanned, each with the reason.
    """

    found: tuple[OwnedResource, ...]
    scanned: tuple[str, ...]
    inaccessible: tuple[str, ...] = ()


class EventBatch(NamedTuple):
    """Events of a log, and the offset of their end in bytes."""

    events: tuple[Event, ...]
    offset: int


class ClusterToken(NamedTuple):
    """A bearer token for a cluster's API, and when it expires."""

    token: str
    expires: datetime
