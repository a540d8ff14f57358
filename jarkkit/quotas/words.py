"""A row of quotas in words. Pure."""

from __future__ import annotations

from jarkkit.quotas.values import Row


def console_link(row: Row) -> str:
    """The quota's page in the console."""
    host = {"cn": "console.amazonaws.cn", "us-gov": "console.amazonaws-us-gov.com"}
    partition = next((p for p in host if row.region.startswith(f"{p}-")), "")
    return (
        f"https://{host.get(partition, 'console.aws.amazon.com')}/servicequotas/home/services/"
        f"{row.service}/quotas/{row.code}?region={row.region}"
    )


def command_line(row: Row) -> str:
    """AWS CLI's line that asks for what is needed; empty where nothing is to be asked for."""
    if row.desired is None:
        return ""
    return (
        "aws service-quotas request-service-quota-increase"
        f" --service-code {row.service} --quota-code {row.code}"
        f" --desired-value {row.desired} --region {row.region}"
    )


def amount(value: float | None) -> str:
    """A number of vCPUs, TiB or things."""
    if value is None:
        return "?"
    return f"{value:.0f}" if value == int(value) else f"{value:.1f}"


def said(row: Row) -> str:
    """What is there, in words."""
    if row.quota is None:
        return "not known"
    unit = f" {row.unit}" if row.unit else ""
    default = "" if row.applied else " (the default)"
    if row.used is None:
        return f"quota {amount(row.quota)}{unit}{default}, use not known"
    own = f", {amount(row.own)} of it by this deployment" if row.own else ""
    return (
        f"quota {amount(row.quota)}{unit}{default}, in use {amount(row.used)}{own}, "
        f"free {amount(row.free)}"
    )


def needed(row: Row) -> str:
    """What is needed, in words."""
    unit = f" {row.unit}" if row.unit else ""
    each = f" per {row.each}" if row.each else ""
    if row.most == row.least:
        return f"{amount(row.least)}{unit}{each}"
    return f"{amount(row.least)}{unit}{each} at least, {amount(row.most)} at the limits"
