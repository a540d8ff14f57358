"""report.html: the journey on one page, with findings, timings and pictures; no account id."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TypeVar

from jarkkit import pictures, ui
from jarkkit.checks import COLOUR, Report
from jarkkit.clock import now
from jarkkit.costs.bill import Bill
from jarkkit.costs.lines import bill
from jarkkit.costs.table import PriceTable
from jarkkit.headless import Run
from jarkkit.kit import Kit
from jarkkit.quotas.table import QuotaTable
from jarkkit.scrub import Scrub
from jarkkit.survey import Survey

S = TypeVar("S", Survey, QuotaTable, Bill)

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: .5rem 0 1rem; }
td, th { padding: .25rem .75rem .25rem 0; vertical-align: top; border-bottom: 1px solid #8884; }
img { background: #fff; border-radius: 4px; padding: 4px; }
code { font-size: .9em; }
.ok { color: #009e73; } .failed { color: #d55e00; } .skipped { color: #888; }
"""


def page(kit: Kit, run: Run, scrub: Scrub) -> str:
    """The whole page."""
    parts = [
        _head(kit, run),
        _journey(run),
        _pictured("Regions", kit.last_survey(), pictures.region_map),
        _findings("Preflight", kit.last_report("preflight")),
        _pictured("Quotas", kit.last_quotas(), pictures.quota_bars),
        _pictured("Cost", _bill(kit), pictures.cost_split),
        _plan(kit),
        _timelines(kit),
        _findings("Verify", kit.last_report("verify")),
        _cluster(kit),
        _findings("Troubleshoot", kit.last_report("diagnose")),
        _findings("Cleanup", kit.proof()),
    ]
    body = "\n".join(part for part in parts if part)
    return scrub.text(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width">'
        f"<title>jarkkit: {escape(kit.name)}</title><style>{_STYLE}</style></head>"
        f"<body>{body}</body></html>\n"
    )


def _head(kit: Kit, run: Run) -> str:
    kind = "a rehearsal, in a pretend account" if run.rehearsal else "in a real account"
    verdict = "Everything went through" if run.ok else "It stopped"
    colour = COLOUR["pass" if run.ok else "fail"]
    where = kit.status()
    return (
        f"<h1>{escape(kit.name)}</h1>"
        f'<p><strong style="color:{colour}">{verdict}</strong> after {run.seconds:.0f} s '
        f"({kind}, begun {escape(run.started[:19].replace('T', ' '))} UTC).</p>"
        f"<p>Now: {escape(where.state)}. {escape(where.summary)} Next: "
        f"<code>{escape(where.next_command)}</code></p>" + (_HONESTY if run.rehearsal else "")
    )


_HONESTY = (
    "<p><small>Real in this rehearsal: Terraform, the AWS provider, the plan, every API call and "
    "its order, the state. Pretended: the account behind the API, its prices, capacity and time. "
    "What of the cluster is real, is said under Verify.</small></p>"
)


def _journey(run: Run) -> str:
    rows = "".join(
        f'<tr><td>{escape(ran.name)}</td><td class="{ran.status}">{ran.status}</td>'
        f"<td>{ran.seconds:.1f} s</td>"
        f"<td>{escape(f'{ran.code} {ran.message}'.strip())}"
        f"{'<br><em>Fix:</em> ' + escape(ran.fix) if ran.fix else ''}</td></tr>"
        for ran in run.notebooks
    )
    head = "<tr><th>Notebook</th><th></th><th>Time</th><th></th></tr>"
    return f"<h2>The journey</h2><table>{head}{rows}</table>"


def _findings(title: str, report: Report | None) -> str:
    return f"<h2>{title}</h2>{report._repr_html_()}" if report else ""


def _pictured(title: str, known: S | None, picture: Callable[[S], pictures.Picture]) -> str:
    """A picture, and the same in words."""
    if known is None:
        return ""
    words = f"<details><summary>In words</summary>{known._repr_html_()}</details>"
    return f"<h2>{title}</h2>{picture(known).html()}{words}"


def _bill(kit: Kit) -> Bill:
    """By the shipped prices: nobody is asked while a report is written."""
    return bill(kit.settings, PriceTable.shipped(), today=now()[:10])


def _cluster(kit: Kit) -> str:
    found = kit.last_cluster_map()
    if found is None or not found.nodes:
        return ""
    picture = pictures.cluster_map(found)
    return f"<h2>Cluster</h2>{picture.html()}<p>{escape(found.told())}</p>"


def _plan(kit: Kit) -> str:
    plan = kit.planned()
    if plan is None:
        return ""
    return f"<h2>Plan</h2>{pictures.plan_map(plan).html()}{ui.summary(plan).data}"


def _timelines(kit: Kit) -> str:
    shown = []
    for step, title in (("deploy", "Deploy"), ("cleanup", "Destroy")):
        events = ui.last_run(kit.events(step))  # type: ignore[arg-type]
        if any(event.kind in ("resource", "addon") for event in events):
            picture = pictures.timeline(events, "seconds since the first resource")
            shown.append(f"<h2>{title}: where the time went</h2>{picture.html()}")
    return "".join(shown)
