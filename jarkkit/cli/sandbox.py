"""`jarkkit sandbox`: the pretend account, for any tool."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jarkkit.sandbox import profiles

if TYPE_CHECKING:
    from jarkkit.sandbox.cluster.toolchain import Progress

app = typer.Typer(help="The pretend AWS account.", no_args_is_help=True, rich_markup_mode=None)

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON on stdout.")]
Faults = Annotated[
    list[str] | None,
    typer.Option("--fault", metavar="NAME[:WHAT]", help="A fault to begin with; may be repeated."),
]


@app.command()
def setup(
    operators: Annotated[
        bool, typer.Option("--operators/--no-operators", help="Also those of Argo and Ray.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Find the programs of its clusters, or build them: about 11 minutes, once per machine."""
    from jarkkit.cli import show
    from jarkkit.errors import JarkkitError
    from jarkkit.sandbox.cluster.toolchain import CLUSTER, Toolchain, user_cache

    tools, only = Toolchain(user_cache()), None if operators else CLUSTER
    try:
        with closing(tools.set_up(only)) as progress:  # it ends Go, whatever happens here
            for line in _new_lines(progress):
                show.say(line)
    except KeyboardInterrupt:
        fix = "What is built is kept; this goes on from there: jarkkit sandbox setup"
        raise JarkkitError("JK-INTERRUPTED", "Interrupted.", fix) from None
    found = tools.describe(only)
    if as_json:
        programs = [{**asdict(program), "path": str(program.path)} for program in found]
        show.out(json.dumps({"programs": programs}, indent=1))
        return
    for program in found:
        show.out(f"{program.name:24} {program.version:9} {program.source:6} {program.path}")


def _new_lines(progress: Iterable[Progress]) -> Iterator[str]:
    """A line per program, and then every quarter of a minute."""
    shown = ("", 0.0)
    for at in progress:
        now = time.monotonic()
        if at.program == shown[0] and now - shown[1] < 15:
            continue
        shown = (at.program, now)
        who = "another process builds " if at.elsewhere else ""
        yield (
            f"[{at.done + 1}/{at.of}] {who}{at.program}: {at.packages} packages, about "
            f"{at.seconds_left / 60:.1f} min left in all"
        )


@app.command()
def up(
    speed: Annotated[float, typer.Option(help="1 is AWS' own time, 60 faster, 0 at once.")] = 0.0,
    profile: Annotated[
        str,
        typer.Option(help="; ".join(f"{k}: {v}" for k, v in profiles.PROFILES.items()) + "."),
    ] = profiles.DEFAULT,
    faults: Faults = None,
    port: Annotated[int, typer.Option(help="Port on loopback; 0 takes a free one.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the saved account.")] = False,
    account_only: Annotated[
        bool, typer.Option("--account-only", help="Nothing behind its clusters: no set-up needed.")
    ] = False,
    latency: Annotated[
        float | None, typer.Option(metavar="MS", help="Milliseconds that every call takes.")
    ] = None,
    rate_limits: Annotated[
        bool | None, typer.Option(help="Refuse calls that are too many, at AWS' published rates.")
    ] = None,
    policies: Annotated[
        list[Path] | None,
        typer.Option(
            "--policy",
            metavar="FILE",
            help="All that its user may do; repeatable. `jarkkit permissions` makes such files.",
        ),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Go on in the background.")] = False,
    as_json: Json = False,
) -> None:
    """Start it; its account is as it was left. Without --detach it ends with this command."""
    from jarkkit.cli import show
    from jarkkit.home import find_home, sandbox_home
    from jarkkit.sandbox import control

    running = control.start(
        sandbox_home(find_home()),
        speed=speed,
        detach=detach,
        fresh=fresh,
        port=port,
        profile=profile,
        faults=faults or (),
        account_only=account_only,
        latency_ms=latency,
        rate_limits=rate_limits,
        policies=policies or (),
    )
    if as_json:
        show.out(json.dumps(control.status(running.home), indent=1))
    else:
        show.out(f"The sandbox answers at {running.endpoint} (process {running.pid}).")
        show.out('For other tools: eval "$(jarkkit sandbox env)"')
    while not detach and control.find(running.home):
        time.sleep(0.5)


@app.command()
def down(as_json: Json = False) -> None:
    """Save the account and end the sandbox."""
    from jarkkit.cli import show
    from jarkkit.home import find_home, sandbox_home
    from jarkkit.sandbox import control

    was = control.stop(sandbox_home(find_home()))
    text = "The sandbox has ended; its account is saved." if was else "No sandbox was running."
    show.out(json.dumps({"stopped": was}) if as_json else text)


@app.command()
def env() -> None:
    """Shell lines that point other tools at it: eval "$(jarkkit sandbox env)"."""
    from jarkkit.cli import show
    from jarkkit.home import find_home, sandbox_home
    from jarkkit.sandbox import control

    for name, value in control.require(sandbox_home(find_home())).env.items():
        show.out(f"export {name}={shlex.quote(value)}" if value else f"unset {name}")


@app.command()
def status(as_json: Json = False) -> None:
    """Is it running, and how?"""
    from jarkkit.cli import show
    from jarkkit.home import find_home, sandbox_home
    from jarkkit.sandbox import control

    known = control.status(sandbox_home(find_home()))
    if as_json:
        show.out(json.dumps(known, indent=1))
        return
    clusters, charts = known.pop("clusters"), known.pop("charts")
    for name, value in known.items():
        show.out(f"{name:12} {value if value != [] else 'none'}")
    show.out("real         Terraform, the AWS provider, boto3, every call and its order")
    show.out("pretended    the account behind the API: resources, quotas, capacity, time")
    if charts:
        show.out("\n".join(_chart_lines(charts)))
    for cluster in clusters:
        show.out("\n".join(_cluster_lines(cluster)))


def _chart_lines(charts: list[dict[str, Any]]) -> Iterator[str]:
    """What a rehearsal installs where the chart cache has no real chart."""
    yield f"\n{len(charts)} charts, for those that the chart cache does not have"
    for chart in charts:
        kind = "real" if chart["real"] else "stand-in"
        kinds = f", definitions {chart['definitions']}" if chart["definitions"] else ""
        yield f"  {chart['archive']:48} {kind}{kinds}"


def _cluster_lines(cluster: dict[str, Any]) -> Iterator[str]:
    """A cluster's components, one a line."""
    yield f"\ncluster {cluster['name']} in {cluster['region']}: {cluster['state']}"
    if cluster["message"]:
        yield f"  {cluster['message']}"
    for part in cluster["components"]:
        memory = f"{part['memory_mib']} MiB" if part["memory_mib"] is not None else ""
        seconds = part["uptime_seconds"]
        uptime = f"{seconds // 60} min" if seconds is not None else ""
        title = f"{part['name']} {part['version']}".strip()
        line = f"  {part['kind']:9} {title:38} {memory:>9} {uptime:>8}  {part['what']}"
        yield line.rstrip()


@app.command()
def fault(
    names: Annotated[list[str] | None, typer.Argument(help="NAME[:WHAT,…] …")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Switch all off.")] = False,
    as_json: Json = False,
) -> None:
    """Switch faults on (those not named are off), or list what there is."""
    from jarkkit.cli import show
    from jarkkit.home import find_home, sandbox_home
    from jarkkit.sandbox import control, faults

    if not names and not clear:
        kinds = {name: kind.title for name, kind in faults.KINDS.items()}
        lines = "\n".join(f"{name:24} {title}" for name, title in kinds.items())
        show.out(json.dumps(kinds, indent=1) if as_json else lines)
        return
    known = control.set_faults(sandbox_home(find_home()), names or [])
    on = ", ".join(known["faults"]) or "none"
    show.out(json.dumps(known, indent=1) if as_json else f"faults: {on}")
