"""The values of the journey as HTML and pictures."""

from __future__ import annotations

from functools import singledispatch
from html import escape
from typing import TYPE_CHECKING

from jarkkit.decisions.cluster.cluster_map import ClusterMap
from jarkkit.decisions.costs.models import Bill
from jarkkit.decisions.plan_losses import change_name, loss_lines
from jarkkit.decisions.quotas.table import QuotaTable
from jarkkit.decisions.regions import RegionComparison
from jarkkit.deployment import Deployment
from jarkkit.model.account_ids import mask_account_ids
from jarkkit.model.records import (
    ACTION_WORDS,
    AREAS,
    DeploymentStatus,
    DeployResult,
    Event,
    Plan,
    Receipt,
    ResourceChange,
)
from jarkkit.render.html import HtmlText, duration, table_with_note

if TYPE_CHECKING:
    from jarkkit.render.pictures import Picture


@singledispatch
def summary(value: object) -> HtmlText:
    """Return an HTML summary of a step's result."""
    raise TypeError(f"no summary for {type(value).__name__}")


@summary.register
def _(plan: Plan) -> HtmlText:
    lines = [
        (ACTION_WORDS[action], area, f"{len(chosen)}", _what(chosen))
        for action, changes in plan.by_action().items()
        for area in AREAS
        if (chosen := [change for change in changes if change.area == area])
    ]
    note = _duration(plan) if lines else "Nothing to change."
    if plan.removed_addons:
        note += f" It also removes these add-ons: {', '.join(plan.removed_addons)}."
    table = table_with_note(("Action", "Area", "Resources", "What"), lines, note)
    return HtmlText(mask_account_ids(str(table.data) + losses_html(plan)))


def losses_html(plan: Plan) -> str:
    """Return what a plan loses as HTML; empty if it loses nothing."""
    if not plan.losses:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in loss_lines(plan.losses))
    needs = " Deploying it needs the deployment's name." if plan.needs_confirmation else ""
    return f"<p><strong>What you lose.</strong>{needs}</p><ul>{items}</ul>"


def _what(changes: list[ResourceChange]) -> str:
    """Return the types of new resources, and the names of existing ones."""
    if changes[0].action in ("create", "import"):
        return ", ".join(sorted({change.type.removeprefix("aws_") for change in changes}))
    return ", ".join(f"{c.type.removeprefix('aws_')} {change_name(c)}" for c in changes)


@summary.register
def _(deployed: DeployResult) -> HtmlText:
    shown = ("cluster_name", "cluster_version", "region", "availability_zones", "vpc_id")
    lines = [(name, _plain(deployed.outputs.get(name))) for name in shown]
    return table_with_note(("Output", "Value"), lines, f"Deployed in {duration(deployed.seconds)}.")


@summary.register
def _(receipt: Receipt) -> HtmlText:
    lines = [
        (item.terraform_type, item.import_id, _price(item.usd_per_month)) for item in receipt.left
    ]
    note = (
        f"{receipt.destroyed} resources destroyed in {duration(receipt.seconds)}; "
        f"{len(receipt.looked_at)} locations checked: {receipt.verdict}."
    )
    return table_with_note(("Left", "Id", "USD per month"), lines, note)


def _price(usd: float | None) -> str:
    return "?" if usd is None else f"{usd:.2f}"


@summary.register
def _(where: DeploymentStatus) -> HtmlText:
    return HtmlText(
        f"<p><strong>{escape(where.deployment)}</strong>: {escape(where.state)}. "
        f"{escape(where.summary)}<br>Next, on the command line: "
        f"<code>{escape(where.next_command)}</code></p>"
    )


def picture(
    value: Plan | Bill | QuotaTable | RegionComparison | ClusterMap | Deployment,
) -> Picture:
    """Return a picture of a step's result; of a deployment, the timeline of its last deploy."""
    from jarkkit.render import (
        pictures,  # importing it takes half a second; only notebooks with pictures need it
    )

    match value:
        case Plan():
            return pictures.plan_map(value)
        case Bill():
            return pictures.cost_split(value)
        case QuotaTable():
            return pictures.quota_bars(value)
        case RegionComparison():
            return pictures.region_map(value)
        case ClusterMap():
            return pictures.cluster_map(value)
    return pictures.timeline(last_apply(value.events("deploy")), "seconds since the first resource")


def last_apply(events: tuple[Event, ...]) -> tuple[Event, ...]:
    """Return the events since Terraform last started to apply or destroy."""
    starts = [
        index
        for index, event in enumerate(events)
        if event.kind == "phase"
        and event.subject in ("apply", "destroy")
        and event.status == "started"
    ]
    return events[starts[-1] :] if starts else events


def _duration(plan: Plan) -> str:
    minutes = max(1, round(plan.seconds / 60))
    after = "" if plan.destroy else ", without the add-ons that Helm installs afterwards"
    return f"On AWS this takes about {minutes} min{after}."


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
