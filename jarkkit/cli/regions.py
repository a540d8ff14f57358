"""`jarkkit regions`: compare Regions, with or without a deployment's settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jarkkit.cli.options import Json, Pairs, Refresh

if TYPE_CHECKING:
    from jarkkit.decisions.regions import RegionComparison


def regions(
    name: Annotated[
        str, typer.Argument(help="Use the settings of this deployment; optional.")
    ] = "",
    only: Annotated[
        list[str] | None,
        typer.Option("--region", help="Compare only this Region; repeatable."),
    ] = None,
    families: Annotated[
        list[str] | None,
        typer.Option("--family", help="Require this accelerator family; repeatable."),
    ] = None,
    pairs: Pairs = None,
    refresh: Refresh = False,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Also write a heat map to this SVG file.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Compare all Regions side by side and recommend one."""
    from jarkkit.cli import output
    from jarkkit.settings.sources import read_pairs

    changes: dict[str, Any] = read_pairs(pairs or [])
    if families:
        changes["accelerators"] = families
    comparison = _compare(name, changes, tuple(only or ()), refresh=refresh)
    if picture:
        _draw(comparison, picture)
    output.print_record(comparison, output.text(comparison), as_json=as_json)
    return 0 if comparison.recommended else 1


def _compare(
    name: str, changes: dict[str, Any], only: tuple[str, ...], *, refresh: bool
) -> RegionComparison:
    """Compare for the deployment that is named or the only one; else for the settings alone."""
    from jarkkit.deployment import Deployment, compare_regions
    from jarkkit.ports.paths import deployment_names, find_home
    from jarkkit.settings import Settings
    from jarkkit.settings.sources import read_environment

    if name or len(deployment_names(find_home())) == 1:
        deployment = Deployment.open(name)
        return deployment.compare_regions(
            only, settings=deployment.settings.with_changes(changes), refresh=refresh
        )
    settings = Settings.from_values({**read_environment(os.environ), **changes})
    return compare_regions(settings, only, refresh=refresh)


def _draw(comparison: RegionComparison, file: Path) -> None:
    from jarkkit.cli import output
    from jarkkit.model.errors import JarkkitError
    from jarkkit.render.pictures import region_map

    drawn = region_map(comparison)
    try:
        file.write_text(drawn.svg)
    except OSError as error:
        raise JarkkitError(
            "JK-WORKSPACE-WRITE",
            f"Cannot write the picture to {file} ({error.strerror}).",
            "Choose another file.",
        ) from error
    output.info(f"{file}: {drawn.caption}")
