"""`jarkkit sandbox`: the simulated AWS account, for any tool."""

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

from jarkkit.cli.options import Json
from jarkkit.model.polling import wait_until
from jarkkit.sandbox import account_profiles

if TYPE_CHECKING:
    from jarkkit.sandbox.kubernetes.toolchain import BuildProgress

app = typer.Typer(help="Run a simulated AWS account.", no_args_is_help=True, rich_markup_mode=None)

Faults = Annotated[
    list[str] | None,
    typer.Option("--fault", metavar="NAME[:WHAT]", help="Start with this fault; repeatable."),
]


@app.command()
def setup(
    operators: Annotated[
        bool,
        typer.Option(
            "--operators/--no-operators", help="Also set up the operators of Argo and Ray."
        ),
    ] = True,
    only_opentofu: Annotated[
        bool,
        typer.Option(
            "--only-opentofu",
            help="Build only OpenTofu, which a real account needs, too; also where it or Terraform "
            "is installed.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Find or build the programs of its clusters: about 11 minutes, once per machine.

    Without Terraform or OpenTofu on PATH it also builds OpenTofu: about 5 minutes more.
    """
    from jarkkit.cli import output
    from jarkkit.model.errors import JarkkitError
    from jarkkit.sandbox.kubernetes.toolchain import AWS_LAYER, CLUSTER, Toolchain, user_cache

    tools = Toolchain(user_cache(), ignore_installed=only_opentofu)
    groups = (AWS_LAYER,) if only_opentofu else () if operators else (AWS_LAYER, CLUSTER)
    try:
        with closing(tools.set_up(*groups)) as progress:  # always stops the Go build
            for line in _new_lines(progress):
                output.info(line)
    except KeyboardInterrupt:
        fix = "Finished builds are kept. To continue, run: jarkkit sandbox setup"
        raise JarkkitError("JK-INTERRUPTED", "Interrupted.", fix) from None
    found = tools.describe(*groups)
    if as_json:
        programs = [{**asdict(program), "path": str(program.path)} for program in found]
        output.out(json.dumps({"programs": programs}, indent=1))
        return
    for program in found:
        output.out(f"{program.name:24} {program.version:9} {program.source:6} {program.path}")


def _new_lines(progress: Iterable[BuildProgress]) -> Iterator[str]:
    """Yield a line for each program, then one every 15 seconds."""
    shown = ("", 0.0)
    for at in progress:
        now = time.monotonic()
        if at.program == shown[0] and now - shown[1] < 15:
            continue
        shown = (at.program, now)
        builder = "another process builds " if at.elsewhere else ""
        yield (
            f"[{at.done + 1}/{at.of}] {builder}{at.program}: {at.packages} packages, about "
            f"{at.seconds_left / 60:.1f} min left in total"
        )


@app.command()
def up(
    speed: Annotated[
        float, typer.Option(help="1 is as slow as AWS, 60 is 60 times faster, 0 is instant.")
    ] = 0.0,
    profile: Annotated[
        str,
        typer.Option(
            help="; ".join(f"{k}: {v}" for k, v in account_profiles.PROFILES.items()) + "."
        ),
    ] = account_profiles.DEFAULT,
    faults: Faults = None,
    port: Annotated[int, typer.Option(help="Port on loopback; 0 picks a free port.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard the saved account.")] = False,
    account_only: Annotated[
        bool,
        typer.Option(
            "--account-only",
            help="Simulate the account without Kubernetes clusters; needs no setup.",
        ),
    ] = False,
    latency: Annotated[
        float | None, typer.Option(metavar="MS", help="Add this latency to every call.")
    ] = None,
    rate_limits: Annotated[
        bool | None, typer.Option(help="Throttle calls at AWS' published rates.")
    ] = None,
    policies: Annotated[
        list[Path] | None,
        typer.Option(
            "--policy",
            metavar="FILE",
            help="Allow only what this policy allows; repeatable. See `jarkkit permissions --out`.",
        ),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Run in the background.")] = False,
    as_json: Json = False,
) -> None:
    """Start the sandbox with its saved account. Without --detach it ends with this command."""
    from jarkkit.cli import output
    from jarkkit.ports.paths import find_home, sandbox_home
    from jarkkit.sandbox import daemon_client

    running = daemon_client.start(
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
        output.out(json.dumps(daemon_client.status(running.home), indent=1))
    else:
        output.out(f"The sandbox listens at {running.endpoint} (process {running.pid}).")
        output.out('For other tools: eval "$(jarkkit sandbox env)"')
    if not detach:
        wait_until(lambda: daemon_client.find(running.home), lambda found: not found, 0.5)


@app.command()
def down(as_json: Json = False) -> None:
    """Save the account and stop the sandbox."""
    from jarkkit.cli import output
    from jarkkit.ports.paths import find_home, sandbox_home
    from jarkkit.sandbox import daemon_client

    was = daemon_client.stop(sandbox_home(find_home()))
    text = "The sandbox has stopped; its account is saved." if was else "No sandbox was running."
    output.out(json.dumps({"stopped": was}) if as_json else text)


@app.command()
def env() -> None:
    """Print shell commands that point other tools at the sandbox.

    Use it like this: eval "$(jarkkit sandbox env)"
    """
    from jarkkit.cli import output
    from jarkkit.ports.paths import find_home, sandbox_home
    from jarkkit.sandbox import daemon_client

    for name, value in daemon_client.require(sandbox_home(find_home())).env.items():
        output.out(f"export {name}={shlex.quote(value)}" if value else f"unset {name}")


@app.command()
def status(as_json: Json = False) -> None:
    """Show whether the sandbox is running, and its configuration."""
    from jarkkit.cli import output
    from jarkkit.ports.paths import find_home, sandbox_home
    from jarkkit.sandbox import daemon_client

    known = daemon_client.status(sandbox_home(find_home()))
    if as_json:
        output.out(json.dumps(known, indent=1))
        return
    clusters, charts = known.pop("clusters"), known.pop("charts")
    for name, value in known.items():
        output.out(f"{name:12} {value if value != [] else 'none'}")
    output.out("real         Terraform, the AWS provider, boto3, every call and its order")
    output.out("simulated    the account behind the API: resources, quotas, capacity, time")
    if charts:
        output.out("\n".join(_chart_lines(charts)))
    for cluster in clusters:
        output.out("\n".join(_cluster_lines(cluster)))


def _chart_lines(charts: list[dict[str, Any]]) -> Iterator[str]:
    """List the charts that a rehearsal installs if the chart cache lacks the real ones."""
    yield f"\n{len(charts)} charts, used where the chart cache has none"
    for chart in charts:
        kind = "real" if chart["real"] else "stub"
        kinds = f", CRDs {chart['definitions']}" if chart["definitions"] else ""
        yield f"  {chart['archive']:48} {kind}{kinds}"


def _cluster_lines(cluster: dict[str, Any]) -> Iterator[str]:
    """List a cluster's components, one per line."""
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
    clear: Annotated[bool, typer.Option("--clear", help="Deactivate all faults.")] = False,
    as_json: Json = False,
) -> None:
    """Activate the named faults and no others; without a name, list all faults."""
    from jarkkit.cli import output
    from jarkkit.ports.paths import find_home, sandbox_home
    from jarkkit.sandbox import daemon_client, faults

    if not names and not clear:
        kinds = {name: kind.title for name, kind in faults.FAULT_KINDS.items()}
        lines = "\n".join(f"{name:24} {title}" for name, title in kinds.items())
        output.out(json.dumps(kinds, indent=1) if as_json else lines)
        return
    known = daemon_client.set_faults(sandbox_home(find_home()), names or [])
    on = ", ".join(known["faults"]) or "none"
    output.out(json.dumps(known, indent=1) if as_json else f"faults: {on}")
