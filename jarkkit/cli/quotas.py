"""`jarkkit quotas`: required service quotas, and quota increase requests."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from jarkkit.cli.options import Json, Name, Refresh, Yes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jarkkit.decisions.quotas.table import QuotaTable
    from jarkkit.steps.quotas import QuotaIncreaseRequest


class _ShowFirst(TyperGroup):
    """`jarkkit quotas NAME` is `jarkkit quotas show NAME`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert `show` if the command is missing."""
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "-h")):
            args = ["show", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ShowFirst,
    help="Compare service quotas with what the deployment needs; request increases.",
    rich_markup_mode=None,
)


@app.command()
def show(name: Name = "", refresh: Refresh = False, as_json: Json = False) -> int:
    """Show each quota: needed, applied, in use, free. This is the default command."""
    from jarkkit.cli import output as shown
    from jarkkit.deployment import Deployment
    from jarkkit.steps.quotas import quota_increase_requests

    table = Deployment.open(name).quota_table(refresh=refresh)
    if as_json:
        shown.out(json.dumps(_as_dict(table), indent=1))
    else:
        shown.out(shown.text(table))
        if quota_increase_requests(table):
            shown.info("Request increases: jarkkit quotas request")
    return 0 if table.fits else 1


@app.command()
def request(
    name: Name = "",
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Request an increase of every quota that is too small now or at the limits."""
    from jarkkit.cli import output as shown
    from jarkkit.deployment import Deployment
    from jarkkit.steps.quotas import quota_increase_requests

    deployment = Deployment.open(name)
    table = deployment.quota_table(refresh=True)
    requests = quota_increase_requests(table)
    if not as_json:
        _announce(table, requests)
    if requests:
        _confirm(len(requests), yes)
    results = [deployment.request_quota_increase(increase) for increase in requests]
    if as_json:
        shown.out(json.dumps([each.model_dump(mode="json") for each in results], indent=1))
    else:
        for each in results:
            shown.out(shown.text(each))
    return 1 if any(each.error for each in results) else 0


def _announce(table: QuotaTable, requests: Sequence[QuotaIncreaseRequest]) -> None:
    """List the open requests, and those that will be sent."""
    from jarkkit.cli import output as shown
    from jarkkit.decisions.quotas.formatting import format_amount

    for row in table.rows:
        if row.pending:
            shown.out(
                f"  … {row.service} {row.code} ({row.name}): {format_amount(row.pending.desired)} "
                f"requested on {row.pending.created[:10]}, {row.pending.status}"
            )
    if not requests:
        shown.out("No quota increase is needed.")
        return
    shown.out("Requests to AWS (service-quotas RequestServiceQuotaIncrease):")
    for increase in requests:
        shown.out(f"  · {shown.text(increase)}\n    {increase.command}")
    shown.out(
        "The desired value is the usage by others plus what the deployment needs at its limits."
    )


def _confirm(count: int, yes: bool) -> None:
    from jarkkit.model.errors import JarkkitError

    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise JarkkitError(
            "JK-USAGE",
            "Cannot ask for confirmation without a terminal.",
            "Pass --yes to send them.",
        )
    what = "this request" if count == 1 else f"these {count} requests"
    if not typer.confirm(f"Send {what}?", err=True):
        raise typer.Exit(1)


def _as_dict(table: QuotaTable) -> dict[str, Any]:
    rows = [
        {**row.model_dump(mode="json"), "free": row.free, "desired": row.desired}
        for row in table.rows
    ]
    return {**table.model_dump(mode="json"), "rows": rows, "fits": table.fits}
