"""`jarkkit quotas`: what is needed of service quotas, and asking AWS for more."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jarkkit.quotas.table import QuotaTable
    from jarkkit.steps.quotas import Filed, Wish


class _ShowFirst(TyperGroup):
    """`jarkkit quotas NAME` is `jarkkit quotas show NAME`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the word in front that was left out."""
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "-h")):
            args = ["show", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ShowFirst,
    help="What the deployment needs of service quotas, and asking AWS for more.",
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(help="The deployment; may be left out where there is one.")]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON on stdout.")]
Refresh = Annotated[bool, typer.Option("--refresh", help="Ask anew what was answered minutes ago.")]


@app.command()
def show(name: Name = "", refresh: Refresh = False, as_json: Json = False) -> int:
    """Needed, in force, in use and free: a line per quota (what is shown without a word)."""
    from jarkkit.cli import show as shown
    from jarkkit.kit import Kit
    from jarkkit.steps.quotas import wishes

    table = Kit.open(name).quotas(refresh=refresh)
    if as_json:
        shown.out(json.dumps(_as_dict(table), indent=1))
    else:
        shown.out(table.text())
        if wishes(table):
            shown.say("Ask AWS for more: jarkkit quotas request")
    return 0 if table.fits else 1


@app.command()
def request(
    name: Name = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> int:
    """Ask AWS for more, for every quota that is too small now or at the limits."""
    from jarkkit.cli import show as shown
    from jarkkit.kit import Kit
    from jarkkit.steps.quotas import wishes

    kit = Kit.open(name)
    table = kit.quotas(refresh=True)
    wanted = wishes(table)
    if not as_json:
        _tell(table, wanted)
    if wanted:
        _agree(len(wanted), yes)
    filed = [kit.ask_for_quota(wish) for wish in wanted]
    if as_json:
        shown.out(json.dumps([each.model_dump(mode="json") for each in filed], indent=1))
    else:
        for each in filed:
            shown.out(_ended(each))
    return 1 if any(each.error for each in filed) else 0


def _tell(table: QuotaTable, wanted: Sequence[Wish]) -> None:
    """What is open already, and what will be sent."""
    from jarkkit.cli import show as shown
    from jarkkit.quotas.words import amount

    for row in table.rows:
        if row.pending:
            shown.out(
                f"  … {row.service} {row.code} ({row.name}): {amount(row.pending.desired)} asked "
                f"for on {row.pending.created[:10]}, {row.pending.status}"
            )
    if not wanted:
        shown.out("There is nothing to ask for.")
        return
    shown.out("To be sent to AWS (service-quotas RequestServiceQuotaIncrease):")
    for wish in wanted:
        shown.out(f"  · {wish.text()}\n    {wish.command}")
    shown.out(
        "The desired value is what all else uses and what the deployment needs at its limits."
    )


def _agree(count: int, yes: bool) -> None:
    from jarkkit.errors import JarkkitError

    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise JarkkitError(
            "JK-USAGE", "Nobody is there to agree to the requests.", "Say so: add --yes"
        )
    what = "this request" if count == 1 else f"these {count} requests"
    if not typer.confirm(f"Send {what}?", err=True):
        raise typer.Exit(1)


def _ended(filed: Filed) -> str:
    wish = filed.wish
    if filed.error:
        return f"  ✘ {wish.code}: {filed.error['message']}\n    fix: {filed.error['fix']}"
    if filed.request is None:
        return f"  ? {wish.code}: no answer"
    what = "was open already" if filed.before else "sent"
    return f"  ✔ {wish.code}: {what}, {filed.request.status} (request {filed.request.id})"


def _as_dict(table: QuotaTable) -> dict[str, Any]:
    rows = [
        {**row.model_dump(mode="json"), "free": row.free, "desired": row.desired}
        for row in table.rows
    ]
    return {**table.model_dump(mode="json"), "rows": rows, "fits": table.fits}
