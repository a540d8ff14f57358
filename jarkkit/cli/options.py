"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(help="Name of the deployment; optional if there is only one.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Refresh = Annotated[bool, typer.Option("--refresh", help="Ignore cached AWS responses.")]
SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="Read settings from this YAML file.")
]
Pairs = Annotated[
    list[str] | None, typer.Option("-p", metavar="KEY=VALUE", help="Set a setting; repeatable.")
]
