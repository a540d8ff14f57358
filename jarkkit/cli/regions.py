"""`jarkkit regions`: where to build, with a deployment's settings or without one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from jarkkit.survey import Survey


def regions(
    name: Annotated[
        str, typer.Argument(help="The deployment whose settings count; none is needed.")
    ] = "",
    only: Annotated[
        list[str] | None,
        typer.Option("--region", help="This Region only; may be repeated."),
    ] = None,
    families: Annotated[
        list[str] | None,
        typer.Option("--family", help="This family of accelerators; may be repeated."),
    ] = None,
    pairs: Annotated[
        list[str] | None,
        typer.Option("-p", metavar="KEY=VALUE", help="A setting; may be repeated."),
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask anew what was answered minutes ago.")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Also as a heat map: a PNG file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON on stdout.")] = False,
) -> int:
    """Where to build? All Regions side by side, one recommended."""
    from jarkkit.cli import show
    from jarkkit.settings_sources import read_pairs

    changes: dict[str, Any] = read_pairs(pairs or [])
    if families:
        changes["accelerators"] = families
    made = _survey(name, changes, tuple(only or ()), refresh=refresh)
    if picture:
        _draw(made, picture)
    show.value(made, made.text(), as_json=as_json)
    return 0 if made.recommended else 1


def _survey(name: str, changes: dict[str, Any], only: tuple[str, ...], *, refresh: bool) -> Survey:
    """For a deployment that is named or the only one; else for the settings alone."""
    from jarkkit.home import deployments, find_home
    from jarkkit.kit import Kit, survey
    from jarkkit.settings import Settings
    from jarkkit.settings_sources import read_environment

    if name or len(deployments(find_home())) == 1:
        kit = Kit.open(name)
        return kit.regions(only, settings=kit.settings.changed(changes), refresh=refresh)
    settings = Settings.make({**read_environment(os.environ), **changes})
    return survey(settings, only, refresh=refresh)


def _draw(made: Survey, file: Path) -> None:
    from jarkkit.cli import show
    from jarkkit.errors import JarkkitError
    from jarkkit.pictures import region_map

    drawn = region_map(made)
    try:
        file.write_bytes(drawn.png)
    except OSError as error:
        raise JarkkitError(
            "JK-WORKSPACE-WRITE",
            f"The picture cannot be written to {file} ({error.strerror}).",
            "Name another file.",
        ) from error
    show.say(f"{file}: {drawn.alt}")
