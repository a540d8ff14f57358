"""`jarkkit sandbox`: the pretend account, for any tool."""

from __future__ import annotations

import json
import shlex
import time
from typing import Annotated

import typer

app = typer.Typer(help="The pretend AWS account.", no_args_is_help=True, rich_markup_mode=None)

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON on stdout.")]
Faults = Annotated[
    list[str] | None,
    typer.Option("--fault", metavar="NAME[:CALL]", help="A fault to begin with; may be repeated."),
]


@app.command()
def up(
    speed: Annotated[float, typer.Option(help="1 is AWS' own time, 60 faster, 0 at once.")] = 0.0,
    profile: Annotated[
        str, typer.Option(help="workshop (GPU quotas granted) or fresh-account.")
    ] = "workshop",
    faults: Faults = None,
    port: Annotated[int, typer.Option(help="Port on loopback; 0 takes a free one.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the saved account.")] = False,
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
    for name, value in known.items():
        show.out(f"{name:12} {value if value != [] else 'none'}")
    show.out("real         Terraform, the AWS provider, boto3, every call and its order")
    show.out("pretended    the account behind the API: resources, quotas, capacity, time")


@app.command()
def fault(
    names: Annotated[list[str] | None, typer.Argument(help="NAME[:service.Operation] …")] = None,
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
