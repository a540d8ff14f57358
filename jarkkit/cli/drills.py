"""`jarkkit sandbox drills`: what there is to practise on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from jarkkit.drills import Drill

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON on stdout.")]


def drills(
    name: Annotated[str, typer.Argument(help="One of them; all when left out.")] = "",
    as_json: Json = False,
) -> None:
    """Faults to practise on: what is switched on, what one sees, where to look, what helps."""
    from jarkkit import drills as table
    from jarkkit.cli import show

    chosen = [table.drill(name)] if name else list(table.drills().values())
    if as_json:
        kept = {"objects", "restart"}
        show.out(json.dumps([d.model_dump(mode="json", exclude=kept) for d in chosen], indent=1))
    elif name:
        show.out("\n".join(_told(chosen[0])))
    else:
        show.out("\n".join(f"{d.name:24} {d.code:22} {d.title}" for d in chosen))
        show.out("\nOne of them: jarkkit sandbox drills NAME. Guided: notebook 07.")


def _told(drill: Drill) -> list[str]:
    lines = [f"{drill.title} ({drill.code})", f"  switched on: {drill.switched_on}"]
    lines += [f"  see:  {drill.see}", f"  look: {drill.look}", f"  mend: {drill.mend}"]
    return [*lines, f"  by hand: {drill.by_hand or _by_hand(drill)}"]


def _by_hand(drill: Drill) -> str:
    on = f"jarkkit sandbox fault {' '.join(drill.faults)}".replace("${zone}", "ZONE")
    return f"{on}; {_felt(drill)}jarkkit diagnose; jarkkit sandbox fault --clear"


def _felt(drill: Drill) -> str:
    if drill.restart:
        where = drill.restart
        return f"kubectl -n {where.namespace} delete pod -l {where.labels}; "
    return "let a pod ask for a new node; " if drill.objects else ""
