"""What notebooks show of a step's result: its summary and its picture."""

from __future__ import annotations

from jarkkit.decisions.cluster.cluster_map import ClusterMap
from jarkkit.decisions.costs.models import Bill
from jarkkit.decisions.quotas.table import QuotaTable
from jarkkit.decisions.regions import RegionComparison
from jarkkit.deployment import Deployment
from jarkkit.model.records import Event, Plan
from jarkkit.render import pictures
from jarkkit.render.html import html
from jarkkit.render.markup import HtmlText
from jarkkit.render.pictures import Picture


def summary(value: object) -> HtmlText:
    """Return a value as HTML, also where its text is the default."""
    return HtmlText(html(value))


def picture(
    value: Plan | Bill | QuotaTable | RegionComparison | ClusterMap | Deployment,
) -> Picture:
    """Return a picture of a step's result; of a deployment, the timeline of its last deploy."""
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
