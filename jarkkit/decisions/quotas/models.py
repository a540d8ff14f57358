"""Quotas as plain values: required, applied, in use, requested.

All amounts are in the quota's unit: vCPUs, TiB, or a number of resources.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from jarkkit.decisions.node_demand import Purchase
from jarkkit.decisions.quotas.quota_codes import ServiceQuota
from jarkkit.model.records import Record

Fits = Literal["yes", "at the start", "no", "unknown"]


@dataclass(frozen=True)
class QuotaRequirement:
    """What a deployment requires of one quota.

    Attributes:
        now: usage of what always runs.
        least: what must be free, so that each accelerator pool can start its smallest instance.
        most: usage at the pools' limits.
        parts: what requires it, as text.
    """

    quota: ServiceQuota
    now: float
    least: float
    most: float
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class QuotaAlternative:
    """A pool with several purchase options: one of their quotas must fit its smallest instance."""

    label: str
    codes: tuple[str, ...]
    vcpus: int


@dataclass(frozen=True)
class QuotaRequirements:
    """All quotas that a deployment requires."""

    requirements: tuple[QuotaRequirement, ...]
    alternatives: tuple[QuotaAlternative, ...] = ()


class AppliedQuota(Record):
    """The value of a quota in the account.

    Attributes:
        applied: False for the default, if AWS never applied a value to the account.
        asked: time of the request; UTC, ISO 8601.
    """

    value: float
    applied: bool
    asked: str


class QuotaUsage(Record):
    """The usage of a quota.

    Attributes:
        own: usage by this deployment; part of `total`.
    """

    total: float = 0
    own: float = 0

    @property
    def others(self) -> float:
        """The usage by everything else."""
        return self.total - self.own


class RunningInstances(Record):
    """Instances of one type that are pending, running, or reserved.

    Attributes:
        vcpus: of all of them together.
        own: whether they belong to this deployment.
        idle: whether they are unused capacity of On-Demand Capacity Reservations.
    """

    instance_type: str
    purchase: Purchase
    count: int
    vcpus: int
    own: bool = False
    idle: bool = False


class RequestedQuotaIncrease(Record):
    """A quota increase request (ListRequestedServiceQuotaChangeHistory).

    Attributes:
        status: `PENDING`, `CASE_OPENED`, `APPROVED`, `DENIED`, `CASE_CLOSED`, …
        created: UTC, ISO 8601.
        case_id: of AWS Support; empty without a case.
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
        """Whether AWS has not decided yet."""
        return self.status in ("PENDING", "CASE_OPENED")


class SentQuotaIncrease(NamedTuple):
    """A request for a quota increase, and whether it was open before."""

    request: RequestedQuotaIncrease
    was_open: bool


class QuotaRow(Record):
    """One quota compared with what the deployment requires.

    Attributes:
        region: Region of the quota; the partition's home Region for IAM's.
        now, least, most: required amounts, now, at least and at the pools' limits.
        quota: applied value; None if unknown.
        used, own: usage, and this deployment's part of it; None if unknown.
        fits: `yes`, for the limits; `at the start` only, which is a warning; `no`; `unknown`.
        why: the reason, if it does not fit or is unknown.
        asked: time of the request for the value; UTC, ISO 8601.
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
    pending: RequestedQuotaIncrease | None = None
    asked: str = ""

    @property
    def free(self) -> float | None:
        """What this deployment can use: the applied value minus the usage by everything else."""
        if self.quota is None or self.used is None:
            return None
        return max(0.0, self.quota - (self.used - (self.own or 0)))

    @property
    def desired(self) -> int | None:
        """The value to request; None if it is unknown or not above the applied value.

        It is the usage by everything else plus what the deployment requires at its limits, rounded
        up to a whole number.
        """
        if self.quota is None or self.used is None:
            return None
        desired = math.ceil(self.used - (self.own or 0) + max(self.most, self.least) - 1e-9)
        return desired if desired > self.quota else None
