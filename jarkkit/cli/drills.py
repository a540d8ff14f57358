"""`jarkkit sandbox drills`: faults for troubleshooting practice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from jarkkit.cli.options import Json

if TYPE_CHECKING:
    from jarkkit.catalog.drills import Drill


def drills(
    name: Annotated[str, typer.Argument(help="Name of a drill; all if omitted.")] = "",
    as_json: Json = False,
) -> None:
    """List the drills: which fault is injected, its symptoms, where to look, the fix."""
    from jarkkit.catalog import drills as table
    from jarkkit.cli import output

    selected = [table.drill(name)] if name else list(table.drills().values())
    if as_json:
        kept = {"objects", "restart"}
        output.out(
            json.dumps([d.model_dump(mode="json", exclude=kept) for d in selected], indent=1)
        )
    elif name:
        output.out("\n".join(_details(selected[0])))
    else:
        output.out("\n".join(f"{d.name:24} {d.code:22} {d.title}" for d in selected))
        output.out("\nDetails: jarkkit sandbox drills NAME. Guided tour: notebook 07.")


def _details(drill: Drill) -> list[str]:
    lines = [f"{drill.title} ({drill.code})", f"  fault:    {drill.switched_on}"]
    lines += [f"  symptoms: {drill.see}", f"  look at:  {drill.look}", f"  fix:      {drill.fix}"]
    return [*lines, f"  by hand:  {drill.by_hand or _by_hand(drill)}"]


def _by_hand(drill: Drill) -> str:
    on = f"jarkkit sandbox fault {' '.join(drill.faults)}".replace("${zone}", "ZONE")
    return f"{on}; {_trigger(drill)}jarkkit diagnose; jarkkit sandbox fault --clear"


def _trigger(drill: Drill) -> str:
    if drill.restart:
        pods = drill.restart
        return f"kubectl -n {pods.namespace} delete pod -l {pods.labels}; "
    return "create a pod that needs a new node; " if drill.objects else ""
