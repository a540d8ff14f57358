"""`jarkkit addons`: the add-on catalog, and its charts on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jarkkit.cli.options import Json

if TYPE_CHECKING:
    from jarkkit.catalog.addons import Addon
    from jarkkit.ports.charts import ChartStore, PullResult

app = typer.Typer(
    help="List the add-ons and manage their charts.",
    invoke_without_command=True,
    rich_markup_mode=None,
)

_MARK = {"pulled": "✔", "there": "✔", "failed": "✘"}


@app.callback()
def list_addons(context: typer.Context, as_json: Json = False) -> None:
    """List the available add-ons by purpose."""
    if context.invoked_subcommand is not None:
        return
    from jarkkit.catalog.addons import GROUPS, addon_catalog
    from jarkkit.cli import output

    everything = addon_catalog().values()
    if as_json:
        output.out(json.dumps([addon.model_dump(mode="json") for addon in everything], indent=1))
        return
    for group in GROUPS:
        members = [addon for addon in everything if addon.group == group]
        if members:
            output.out(f"{group}\n" + "\n".join(map(_line, members)))
    output.info("Details: jarkkit addons show NAME. Download the charts: jarkkit addons pull")


@app.command(name="show")
def show_addon(
    name: Annotated[str, typer.Argument(help="Name of the add-on.")], as_json: Json = False
) -> None:
    """Show an add-on: what it provides, what it needs, where its chart is."""
    from jarkkit.cli import output

    addon = _named(name)
    if as_json:
        output.out(json.dumps(addon.model_dump(mode="json"), indent=1))
        return
    output.out("\n".join(_about(addon, _charts())))


@app.command()
def pull(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names of add-ons; all if omitted.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Download charts into the chart cache. After that, installing needs no chart repository."""
    from jarkkit.catalog.addons import addon_catalog
    from jarkkit.cli import output

    addons = [_named(name) for name in names] if names else list(addon_catalog().values())
    cache, results = _charts(), []
    for pulled in cache.pull(addon.chart for addon in addons if addon.chart):
        results.append(pulled)
        if not as_json:
            output.info(_progress(pulled))
    failed = [pulled for pulled in results if pulled.error]
    if as_json:
        summary = {"cache": str(cache.cache), "charts": [_as_dict(pulled) for pulled in results]}
        output.out(json.dumps(summary, indent=1))
    else:
        output.out(f"{len(results) - len(failed)} of {len(results)} charts are in {cache.cache}.")
        for fix in sorted({pulled.error.fix for pulled in failed if pulled.error}):
            output.info(f"  fix: {fix}")
    return 1 if failed else 0


# -- text ------------------------------------------------------------------------------------------


def _line(addon: Addon) -> str:
    return f"  {addon.name:34} {'on ' if addon.default else 'off'}  {addon.title} ({_how(addon)})"


def _how(addon: Addon) -> str:
    if addon.chart:
        return f"chart {addon.chart.name} {addon.chart.version}"
    if addon.install == "eks":
        return f"EKS add-on {addon.version or ''}".rstrip()
    return "objects"


def _about(addon: Addon, charts: ChartStore) -> Iterator[str]:
    yield f"{addon.title}\n{addon.what}"
    if addon.notice:
        yield f"Note: {addon.notice}"
    facts = {
        "installed": f"{'by default' if addon.default else 'on request'}, as {_how(addon)}",
        "namespace": addon.namespace,
        "needs": ", ".join(addon.needs),
        "AWS": f"permissions for {addon.aws.service_account}" if addon.aws else "",
        "chart": _location(addon, charts),
        "more": addon.link,
    }
    yield from (f"  {name:10} {value}" for name, value in facts.items() if value)
    for workload in addon.workloads:
        count = "one per node" if workload.replicas is None else f"{workload.replicas}"
        yield f"  {workload.kind:10} {workload.name} ({count})"
    for service in addon.services:
        if service.title:
            yield f"  {'web UI':10} {service.title}"


def _location(addon: Addon, charts: ChartStore) -> str:
    from jarkkit.model.errors import JarkkitError

    if addon.chart is None:
        return ""
    try:
        found = charts.find(addon.chart)
    except JarkkitError as error:
        return f"{addon.chart.repository} ({error.message})"
    return f"{found.path}{'' if found.real else ' (a stub chart)'}"


def _progress(pulled: PullResult) -> str:
    count = f"[{pulled.done}/{pulled.total}]"
    line = f"  {_MARK[pulled.status]} {count:9} {pulled.chart.name} {pulled.chart.version}"
    if pulled.error:
        return f"{line}: {pulled.error}"
    how = f"{pulled.seconds:.1f} s" if pulled.status == "pulled" else "cached"
    return f"{line} ({pulled.size / 1024:.0f} KiB, {how})"


def _as_dict(pulled: PullResult) -> dict[str, Any]:
    return {
        "name": pulled.chart.name,
        "version": pulled.chart.version,
        "status": pulled.status,
        "seconds": round(pulled.seconds, 3),
        "size": pulled.size,
        "error": pulled.error.as_dict() if pulled.error else None,
    }


# -- lookups ---------------------------------------------------------------------------------------


def _charts() -> ChartStore:
    from jarkkit.ports.charts import ChartStore, chart_cache, stub_chart_folder

    return ChartStore(chart_cache(), stub_chart_folder())


def _named(name: str) -> Addon:
    import difflib

    from jarkkit.catalog.addons import addon_catalog
    from jarkkit.model.errors import JarkkitError

    if name in addon_catalog():
        return addon_catalog()[name]
    near = difflib.get_close_matches(name, addon_catalog(), 1)
    fix = f"Did you mean {near[0]}?" if near else "List all add-ons: jarkkit addons"
    raise JarkkitError("JK-USAGE", f"There is no add-on {name!r}.", fix)
