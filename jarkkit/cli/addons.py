"""`jarkkit addons`: the catalogue, and its charts on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from jarkkit.addons.catalogue import Addon
    from jarkkit.charts import Charts, Pulled

app = typer.Typer(
    help="The add-ons that can be installed, and their charts.",
    invoke_without_command=True,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON on stdout.")]
_MARK = {"pulled": "✔", "there": "✔", "failed": "✘"}


@app.callback()
def every(context: typer.Context, as_json: Json = False) -> None:
    """The add-ons that can be installed, by what they are for."""
    if context.invoked_subcommand is not None:
        return
    from jarkkit.addons.catalogue import GROUPS, catalogue
    from jarkkit.cli import show

    everything = catalogue().values()
    if as_json:
        show.out(json.dumps([addon.model_dump(mode="json") for addon in everything], indent=1))
        return
    for group in GROUPS:
        members = [addon for addon in everything if addon.group == group]
        if members:
            show.out(f"{group}\n" + "\n".join(map(_line, members)))
    show.say("One of them: jarkkit addons show NAME. Their charts: jarkkit addons pull")


@app.command(name="show")
def one(name: Annotated[str, typer.Argument(help="The add-on.")], as_json: Json = False) -> None:
    """All about one add-on: what it brings, what it needs, where its chart is."""
    from jarkkit.cli import show

    addon = _named(name)
    if as_json:
        show.out(json.dumps(addon.model_dump(mode="json"), indent=1))
        return
    show.out("\n".join(_about(addon, _charts())))


@app.command()
def pull(
    names: Annotated[list[str] | None, typer.Argument(help="Add-ons; all when left out.")] = None,
    as_json: Json = False,
) -> int:
    """Fetch charts into the chart cache; afterwards no network is needed."""
    from jarkkit.addons.catalogue import catalogue
    from jarkkit.cli import show

    addons = [_named(name) for name in names] if names else list(catalogue().values())
    cache, ended = _charts(), []
    for pulled in cache.pull(addon.chart for addon in addons if addon.chart):
        ended.append(pulled)
        if not as_json:
            show.say(_progress(pulled))
    failed = [pulled for pulled in ended if pulled.error]
    if as_json:
        found = {"cache": str(cache.cache), "charts": [_as_dict(pulled) for pulled in ended]}
        show.out(json.dumps(found, indent=1))
    else:
        show.out(f"{len(ended) - len(failed)} of {len(ended)} charts are in {cache.cache}.")
        for fix in sorted({pulled.error.fix for pulled in failed if pulled.error}):
            show.say(f"  fix: {fix}")
    return 1 if failed else 0


# -- words -----------------------------------------------------------------------------------------


def _line(addon: Addon) -> str:
    return f"  {addon.name:34} {'on ' if addon.default else 'off'}  {addon.title} ({_how(addon)})"


def _how(addon: Addon) -> str:
    if addon.chart:
        return f"chart {addon.chart.name} {addon.chart.version}"
    if addon.install == "eks":
        return f"EKS add-on {addon.version or ''}".rstrip()
    return "objects"


def _about(addon: Addon, charts: Charts) -> Iterator[str]:
    yield f"{addon.title}\n{addon.what}"
    if addon.notice:
        yield f"Note: {addon.notice}"
    facts = {
        "installed": f"{'by default' if addon.default else 'on request'}, as {_how(addon)}",
        "namespace": addon.namespace,
        "needs": ", ".join(addon.needs),
        "AWS": f"permissions for {addon.aws.service_account}" if addon.aws else "",
        "chart": _place(addon, charts),
        "more": addon.link,
    }
    yield from (f"  {name:10} {value}" for name, value in facts.items() if value)
    for workload in addon.workloads:
        count = "one per node" if workload.replicas is None else f"{workload.replicas}"
        yield f"  {workload.kind:10} {workload.name} ({count})"
    for service in addon.services:
        if service.title:
            yield f"  {'page':10} {service.title}"


def _place(addon: Addon, charts: Charts) -> str:
    from jarkkit.errors import JarkkitError

    if addon.chart is None:
        return ""
    try:
        found = charts.find(addon.chart)
    except JarkkitError as error:
        return f"{addon.chart.repository} ({error.message})"
    return f"{found.path}{'' if found.real else ' (a stand-in)'}"


def _progress(pulled: Pulled) -> str:
    count = f"[{pulled.done}/{pulled.total}]"
    line = f"  {_MARK[pulled.status]} {count:9} {pulled.chart.name} {pulled.chart.version}"
    if pulled.error:
        return f"{line}: {pulled.error}"
    how = f"{pulled.seconds:.1f} s" if pulled.status == "pulled" else "was there"
    return f"{line} ({pulled.size / 1024:.0f} KiB, {how})"


def _as_dict(pulled: Pulled) -> dict[str, Any]:
    return {
        "name": pulled.chart.name,
        "version": pulled.chart.version,
        "status": pulled.status,
        "seconds": round(pulled.seconds, 3),
        "size": pulled.size,
        "error": pulled.error.as_dict() if pulled.error else None,
    }


# -- values ----------------------------------------------------------------------------------------


def _charts() -> Charts:
    from jarkkit.charts import Charts, chart_cache, stand_in_folder

    return Charts(chart_cache(), stand_in_folder())


def _named(name: str) -> Addon:
    import difflib

    from jarkkit.addons.catalogue import catalogue
    from jarkkit.errors import JarkkitError

    if name in catalogue():
        return catalogue()[name]
    near = difflib.get_close_matches(name, catalogue(), 1)
    fix = f"Do you mean {near[0]}?" if near else "jarkkit addons lists them all."
    raise JarkkitError("JK-USAGE", f"There is no add-on {name!r}.", fix)
