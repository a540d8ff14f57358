"""Facts about AWS that change with time, in one file per subject with their sources and dates.

The library and the sandbox read the same file, so that they cannot disagree. Terraform and pages
repeat a few of the facts; tests/unit/test_facts.py compares them. `make outdated` lists every
source with its date. Prices are a table of their own, `catalog/prices.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib import resources
from typing import Any

import yaml

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is 10 times faster
FILES = ("durations", "kubernetes", "quotas", "zones")


@dataclass(frozen=True)
class FactSource:
    """Where facts come from.

    Attributes:
        date: when they were read or published: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    """

    where: str
    date: str


@dataclass(frozen=True)
class PublishedDuration:
    """How long an operation takes on AWS.

    Attributes:
        source: a key of the file's sources.
        resource: Terraform's type of the resource, if the operation is one of a resource.
        spread: the shortest and the longest that a source names, as factors; None: not known.
    """

    seconds: float
    source: str
    resource: str = ""
    spread: tuple[float, float] | None = None


@dataclass(frozen=True)
class EksVersion:
    """A minor version of Kubernetes on EKS, with the days on which its support begins and ends."""

    released: date
    standard_support_ends: date
    extended_support_ends: date


@dataclass(frozen=True)
class QuotaDefault:
    """A service quota in a new account.

    Attributes:
        service: service code, such as `ec2`.
        source: a key of the file's sources.
    """

    service: str
    name: str
    default: float
    source: str


def sources(file: str) -> Mapping[str, FactSource]:
    """Return the sources of one of `FILES`, by key."""
    entries = _read(file)["sources"].items()
    # YAML reads a year as a number, and a day as a date.
    return {key: FactSource(source["where"], str(source["date"])) for key, source in entries}


@cache
def durations() -> Mapping[str, PublishedDuration]:
    """Return the durations by operation, such as `cluster create`."""
    return {
        operation: PublishedDuration(
            seconds=float(entry["seconds"]),
            source=entry["source"],
            resource=entry.get("resource", ""),
            spread=(entry["spread"][0], entry["spread"][1]) if "spread" in entry else None,
        )
        for operation, entry in _read("durations")["durations"].items()
    }


@cache
def resource_durations(action: str) -> Mapping[str, PublishedDuration]:
    """Return the durations of an action (`create`, `delete`) by Terraform's type of resource."""
    return {
        duration.resource: duration
        for operation, duration in durations().items()
        if duration.resource and operation.endswith(f" {action}")
    }


@cache
def eks_versions() -> Mapping[str, EksVersion]:
    """Return the minor versions that EKS offers, oldest first."""
    data = _read("kubernetes")
    extended = timedelta(days=data["extended_support_days"])
    return {
        name: EksVersion(**days, extended_support_ends=days["standard_support_ends"] + extended)
        for name, days in data["versions"].items()
    }


def standard_support_ends(version: str) -> str:
    """Return the day on which standard support ends, `YYYY-MM-DD`; empty if it is unknown."""
    known = eks_versions().get(version)
    return known.standard_support_ends.isoformat() if known else ""


def default_eks_version() -> str:
    """Return the version of a cluster that names none."""
    return str(_read("kubernetes")["default"])


@cache
def quotas() -> Mapping[str, QuotaDefault]:
    """Return the service quotas by code."""
    return {
        code: QuotaDefault(service, **entry)
        for service, entries in _read("quotas")["quotas"].items()
        for code, entry in entries.items()
    }


@cache
def zones_without_control_planes() -> frozenset[str]:
    """Return the ids of the Availability Zones in which EKS cannot place a control plane."""
    return frozenset(_read("zones")["without_control_planes"])


@cache
def _read(file: str) -> Any:
    text = (resources.files(__name__) / f"{file}.yaml").read_text(encoding="utf-8")
    return yaml.load(text, Loader=_LOADER)  # noqa: S506 (a safe loader)
