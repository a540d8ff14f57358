"""What is known of quotas: needed, in force, in use, asked for. Plain values.

All amounts are in the quota's unit: vCPUs, TiB, or a number of things.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from jarkkit.quotas.codes import Purchase, Quota
from jarkkit.records import Record

Fits = Literal["yes", "at the start", "no", "unknown"]


@dataclass(frozen=True)
class Need:
    """What is needed of one quota.

    Attributes:
        now: what runs all the time.
        least: what must be free, so that each accelerator pool can start its smallest instance.
        most: what the settings allow at the pools' limits.
        parts: for what, in words.
    """

    quota: Quota
    now: float
    least: float
    most: float
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Either:
    """A pool that may buy in more than one way: one of the quotas must hold its smallest
    instance."""

    what: str
    codes: tuple[str, ...]
    vcpus: int


@dataclass(frozen=True)
class Demand:
    """All that is needed."""

    needs: tuple[Need, ...]
    eithers: tuple[Either, ...] = ()


class InForce(Record):
    """A quota's value.

    Attributes:
        applied: False for the default, where AWS never applied a value to the account.
        asked: UTC, ISO 8601.
    """

    value: float
    applied: bool
    asked: str


class InUse(Record):
    """What is taken of a quota.

    Attributes:
        own: by this deployment; part of `total`.
    """

    total: float = 0
    own: float = 0

    @property
    def others(self) -> float:
        """What is taken by all else."""
        return self.total - self.own


class Running(Record):
    """Instances of one type that are pending or running, or have capacity set aside.

    Attributes:
        vcpus: of all of them together.
        own: they belong to this deployment.
        idle: capacity in On-Demand Capacity Reservations that no instance uses.
    """

    instance_type: str
    purchase: Purchase
    count: int
    vcpus: int
    own: bool = False
    idle: bool = False


class Increase(Record):
    """A request to raise a quota (ListRequestedServiceQuotaChangeHistory).

    Attributes:
        status: `PENDING`, `CASE_OPENED`, `APPROVED`, `DENIED`, `CASE_CLOSED`, …
        created: UTC, ISO 8601.
        case_id: of AWS Support; empty while there is no case.
    """

    id: str
    service: str
    code: str
    desired: float
    status: str
    created: str = ""
    case_id: str = ""

    @property
    def is_open(self) -> bool:
        """Still to be decided."""
        return self.status in ("PENDING", "CASE_OPENED")


class Row(Record):
    """One quota against what the deployment needs of it.

    Attributes:
        region: where the quota is kept; the partition's home Region for IAM's.
        now, least, most: see `Need`.
        quota: in force; None where that is not known.
        used, own: in use, and how much of that is this deployment's; None where not known.
        fits: `yes` up to the limit; `at the start`, which is to know; `no`; `unknown`.
        why: in words, where it does not fit or is not known.
        asked: when the value was asked; UTC, ISO 8601.
    """

    service: str
    code: str
    name: str
    unit: str
    each: str
    region: str
    now: float
    least: float
    most: float
    parts: tuple[str, ...]
    quota: float | None = None
    applied: bool | None = None
    used: float | None = None
    own: float | None = None
    fits: Fits = "unknown"
    why: str = ""
    error_code: str = ""
    fix: str = ""
    pending: Increase | None = None
    asked: str = ""

    @property
    def free(self) -> float | None:
        """What this deployment may take: in force, less what all else takes."""
        if self.quota is None or self.used is None:
            return None
        return max(0.0, self.quota - (self.used - (self.own or 0)))

    @property
    def desired(self) -> int | None:
        """The value to ask for: what all else takes and what the deployment needs at its limits,
        rounded up to a whole number. None where that is not known or not more than is in force."""
        if self.quota is None or self.used is None:
            return None
        wanted = math.ceil(self.used - (self.own or 0) + max(self.most, self.least) - 1e-9)
        return wanted if wanted > self.quota else None
