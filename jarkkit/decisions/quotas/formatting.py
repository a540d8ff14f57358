"""Text for a row of the quota table. Pure."""

from __future__ import annotations

from jarkkit.decisions.quotas.models import QuotaRow


def console_link(row: QuotaRow) -> str:
    """Return the link to the quota's page in the AWS console."""
    host = {"cn": "console.amazonaws.cn", "us-gov": "console.amazonaws-us-gov.com"}
    partition = next((p for p in host if row.region.startswith(f"{p}-")), "")
    return (
        f"https://{host.get(partition, 'console.aws.amazon.com')}/servicequotas/home/services/"
        f"{row.service}/quotas/{row.code}?region={row.region}"
    )


def increase_command(row: QuotaRow) -> str:
    """Return the AWS CLI command that requests the increase; empty if none is needed."""
    if row.desired is None:
        return ""
    return (
        "aws service-quotas request-service-quota-increase"
        f" --service-code {row.service} --quota-code {row.code}"
        f" --desired-value {row.desired} --region {row.region}"
    )


def format_amount(value: float | None) -> str:
    """Return an amount of vCPUs, TiB or resources as text."""
    if value is None:
        return "?"
    return f"{value:.0f}" if value == int(value) else f"{value:.1f}"


def describe_usage(row: QuotaRow) -> str:
    """Return applied value, usage and free amount as text."""
    if row.quota is None:
        return "unknown"
    unit = f" {row.unit}" if row.unit else ""
    default = "" if row.applied else " (the default)"
    if row.used is None:
        return f"quota {format_amount(row.quota)}{unit}{default}, usage unknown"
    own = f", {format_amount(row.own)} of it by this deployment" if row.own else ""
    return (
        f"quota {format_amount(row.quota)}{unit}{default}, in use {format_amount(row.used)}{own}, "
        f"free {format_amount(row.free)}"
    )


def describe_requirement(row: QuotaRow) -> str:
    """Return the required amount as text."""
    unit = f" {row.unit}" if row.unit else ""
    each = f" per {row.each}" if row.each else ""
    if row.most == row.least:
        return f"{format_amount(row.least)}{unit}{each}"
    return (
        f"at least {format_amount(row.least)}{unit}{each}, {format_amount(row.most)} at the limits"
    )
