"""Showing: the values of the journey, for the reader."""

from __future__ import annotations

from functools import singledispatch
from html import escape
from typing import TYPE_CHECKING

from IPython.display import display

from jarkkit.checks import COLOUR
from jarkkit.cluster.map import ClusterMap
from jarkkit.costs.bill import Bill
from jarkkit.errors import JarkkitError
from jarkkit.kit import Kit
from jarkkit.quotas.table import QuotaTable
from jarkkit.records import Deployed, Event, Plan, Receipt, Where
from jarkkit.survey import Survey
from jarkkit.ui.html import Words, span, table

if TYPE_CHECKING:
    from jarkkit.pictures import Picture


@singledispatch
def summary(value: object) -> Words:
    """A value of the journey, for the reader."""
    raise TypeError(f"no summary for {type(value).__name__}")


@summary.register
def _(plan: Plan) -> Words:
    rows = {
        area: ", ".join(sorted({change.type.removeprefix("aws_") for change in changes}))
        for area, changes in plan.by_area().items()
    }
    counts = {area: len(changes) for area, changes in plan.by_area().items()}
    lines = [(area, f"{counts[area]}", what) for area, what in rows.items()]
    note = _takes(plan) if lines else "Nothing to change."
    return table(("Area", "Resources", "What"), lines, note)


@summary.register
def _(deployed: Deployed) -> Words:
    shown = ("cluster_name", "cluster_version", "region", "availability_zones", "vpc_id")
    lines = [(name, _plain(deployed.outputs.get(name))) for name in shown]
    return table(("Output", "Value"), lines, f"Deployed in {span(deployed.seconds)}.")


@summary.register
def _(receipt: Receipt) -> Words:
    word = "nothing is left" if receipt.clean else f"{len(receipt.left)} things are left"
    lines = [(item.terraform_type, item.import_id) for item in receipt.left]
    note = (
        f"{receipt.destroyed} resources destroyed in {span(receipt.seconds)}; "
        f"{len(receipt.looked_at)} places looked at: {word}."
    )
    return table(("Left", "Id"), lines, note)


@summary.register
def _(where: Where) -> Words:
    return Words(
        f"<p><strong>{escape(where.deployment)}</strong>: {escape(where.state)}. "
        f"{escape(where.summary)}<br>Next, on the command line: "
        f"<code>{escape(where.next_command)}</code></p>"
    )


def picture(value: Plan | Bill | QuotaTable | Survey | ClusterMap | Kit) -> Picture:
    """A value of the journey as a picture; of a deployment the timeline of its last deploy."""
    from jarkkit import pictures  # half a second that only a notebook with a picture pays

    match value:
        case Plan():
            return pictures.plan_map(value)
        case Bill():
            return pictures.cost_split(value)
        case QuotaTable():
            return pictures.quota_bars(value)
        case Survey():
            return pictures.region_map(value)
        case ClusterMap():
            return pictures.cluster_map(value)
    return pictures.timeline(last_run(value.events("deploy")), "seconds since the first resource")


def last_run(events: tuple[Event, ...]) -> tuple[Event, ...]:
    """The events since Terraform last began to change things."""
    begins = [
        index
        for index, event in enumerate(events)
        if event.kind == "phase"
        and event.subject in ("apply", "destroy")
        and event.status == "started"
    ]
    return events[begins[-1] :] if begins else events


def must(condition: object, what: str, fix: str) -> None:
    """The check at a notebook's end. Raises JK-NOTEBOOK-FAILED with the fix."""
    if not condition:
        raise JarkkitError("JK-NOTEBOOK-FAILED", f"Not so: {what}.", fix)
    display(Words(f"<p style='color:{COLOUR['pass']}'>✔ {escape(what)}</p>"))


def _takes(plan: Plan) -> str:
    minutes = max(1, round(plan.seconds / 60))
    after = "" if plan.destroy else "; what Helm installs comes after it"
    return f"On AWS these take about {minutes} min{after}."


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
