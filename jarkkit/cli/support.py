"""`jarkkit support`: an archive to attach to a bug report."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from jarkkit.cli.options import Json, Name, Yes


def support(
    name: Name = "",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Write the archive to this file; by default in the deployment's folder."
        ),
    ] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Write an archive without secrets to attach to a bug report. Runs at any time."""
    from jarkkit.cli import output
    from jarkkit.deployment import Deployment

    deployment = Deployment.open(name)
    bundle = deployment.support_bundle()
    if not (as_json and yes):
        output.info(f"Files of the archive:\n{output.text(bundle)}")
    _confirm(yes)
    path = deployment.save_support_bundle(bundle, out, overwrite=_may_overwrite(out, yes))
    if as_json:
        output.out(json.dumps({"path": str(path), **bundle.as_dict()}, indent=1))
        return
    output.info("Read the files before you attach the archive: names of your own are in it.")
    output.out(str(path))


def _confirm(yes: bool) -> None:
    from jarkkit.model.errors import JarkkitError

    if yes:
        return
    if not _is_interactive():
        raise JarkkitError(
            "JK-USAGE",
            "Cannot ask for confirmation without a terminal.",
            "Pass --yes to write the archive.",
        )
    if not typer.confirm("Write the archive?", err=True):
        raise typer.Exit(1)


def _may_overwrite(out: Path | None, yes: bool) -> bool:
    """Ask whether to replace a file that exists.

    --yes agrees to the contents, and not to the loss of a file.
    """
    if yes or out is None or not out.exists():
        return False
    return typer.confirm(f"Replace {out}?", err=True)


def _is_interactive() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()
