"""report.html: a run on one page, with findings, timings and pictures, without account ids."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TypeVar

from jarkkit.decisions.costs.bill import build_bill
from jarkkit.decisions.costs.models import Bill
from jarkkit.decisions.costs.price_table import PriceTable
from jarkkit.decisions.quotas.table import QuotaTable
from jarkkit.decisions.redaction import Redactor
from jarkkit.decisions.regions import RegionComparison
from jarkkit.deployment import Deployment
from jarkkit.model.checks import Report
from jarkkit.model.clock import now
from jarkkit.model.notebook_runs import NotebookRun
from jarkkit.render import pictures
from jarkkit.render.html import html
from jarkkit.render.markup import collapsed, prose
from jarkkit.render.palette import STATUS_COLOR
from jarkkit.render.summaries import last_apply

S = TypeVar("S", RegionComparison, QuotaTable, Bill)

_STYLE = f"""
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }}
table {{ border-collapse: collapse; margin: .5rem 0 1rem; }}
td, th {{ padding: .25rem .75rem .25rem 0; vertical-align: top; border-bottom: 1px solid #8884; }}
figcaption {{ font-size: .9em; }}
code {{ font-size: .9em; }}
.ok {{ color: {STATUS_COLOR["pass"]}; }} .failed {{ color: {STATUS_COLOR["fail"]}; }}
.skipped {{ color: {STATUS_COLOR["skip"]}; }}
"""


def run_page(deployment: Deployment, run: NotebookRun, redactor: Redactor) -> str:
    """Return the report as an HTML page."""
    parts = [
        _head(deployment, run),
        _journey(run),
        _pictured("Regions", deployment.last_region_comparison(), pictures.region_map),
        _findings("Preflight", deployment.last_report("preflight")),
        _pictured("Quotas", deployment.last_quota_table(), pictures.quota_bars),
        _pictured("Cost", _bill(deployment), pictures.cost_split),
        _plan(deployment),
        _timelines(deployment),
        _findings("Verify", deployment.last_report("verify")),
        _cluster(deployment),
        _findings("Troubleshoot", deployment.last_report("diagnose")),
        _findings("Cleanup", deployment.cleanup_report()),
    ]
    body = "\n".join(part for part in parts if part)
    return redactor.text(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width">'
        f"<title>jarkkit: {escape(deployment.name)}</title><style>{_STYLE}</style></head>"
        f"<body>{body}</body></html>\n"
    )


def _head(deployment: Deployment, run: NotebookRun) -> str:
    kind = "a rehearsal in a simulated account" if run.rehearsal else "in a real account"
    verdict = "All notebooks passed" if run.ok else "Stopped"
    color = STATUS_COLOR["pass" if run.ok else "fail"]
    where = deployment.status()
    return (
        f"<h1>{escape(deployment.name)}</h1>"
        f'<p><strong style="color:{color}">{verdict}</strong> after {run.seconds:.0f} s '
        f"({kind}, started {escape(run.started[:19].replace('T', ' '))} UTC).</p>"
        f"<p>Now: {escape(where.state)}. {escape(where.summary)} Next: "
        f"<code>{escape(where.next_command)}</code></p>"
        + (_SIMULATION_NOTE.format(permissions=prose(run.permissions)) if run.rehearsal else "")
    )


_SIMULATION_NOTE = (
    "<p><small>Real in this rehearsal: Terraform, the AWS provider, the plan, every API call and "
    "its order, the state. Simulated: the account behind the API, its prices, capacity and time. "
    "{permissions} See “Verify” for which parts of the cluster were real.</small></p>"
)


def _journey(run: NotebookRun) -> str:
    rows = "".join(
        f'<tr><td>{escape(ran.name)}</td><td class="{ran.status}">{ran.status}</td>'
        f"<td>{ran.seconds:.1f} s</td>"
        f"<td>{escape(f'{ran.code} {ran.message}'.strip())}"
        f"{'<br><em>Fix:</em> ' + escape(ran.fix) if ran.fix else ''}</td></tr>"
        for ran in run.notebooks
    )
    head = "<tr><th>Notebook</th><th></th><th>Time</th><th></th></tr>"
    return f"<h2>Notebooks</h2><table>{head}{rows}</table>"


def _findings(title: str, report: Report | None) -> str:
    return f"<h2>{title}</h2>{html(report)}" if report else ""


def _pictured(title: str, record: S | None, picture: Callable[[S], pictures.Picture]) -> str:
    """Return a picture, and the same content as text."""
    if record is None:
        return ""
    return f"<h2>{title}</h2>{picture(record).html()}{collapsed('As text', html(record))}"


def _bill(deployment: Deployment) -> Bill:
    """Return the bill with the shipped prices: a report makes no AWS calls."""
    return build_bill(deployment.stack, PriceTable.shipped(), today=now()[:10])


def _cluster(deployment: Deployment) -> str:
    found = deployment.last_cluster_map()
    if found is None or not found.nodes:
        return ""
    picture = pictures.cluster_map(found)
    return f"<h2>Cluster</h2>{picture.html()}<p>{escape(found.summary())}</p>"


def _plan(deployment: Deployment) -> str:
    plan = deployment.recorded_plan()
    if plan is None:
        return ""
    return f"<h2>Plan</h2>{pictures.plan_map(plan).html()}{html(plan)}"


def _timelines(deployment: Deployment) -> str:
    shown = []
    for step, title in (("deploy", "Deploy"), ("cleanup", "Destroy")):
        events = last_apply(deployment.events(step))  # type: ignore[arg-type]
        if any(event.kind in ("resource", "addon") for event in events):
            picture = pictures.timeline(events, "seconds since the first resource")
            shown.append(f"<h2>{title} timeline</h2>{picture.html()}")
    return "".join(shown)
