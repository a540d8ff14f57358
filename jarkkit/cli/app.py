"""Commands: each calls the kit and shows what comes back. Data on stdout, the rest on stderr.

Exit codes: 0 all right, 1 a finding or a failed step, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from jarkkit.errors import JarkkitError

app = typer.Typer(
    name="jarkkit",
    help="The JARK stack (JupyterHub, Argo Workflows, Ray, Kubernetes) on Amazon EKS, rehearsed "
    "first. Begin: jarkkit run --sandbox",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Name = Annotated[str, typer.Argument(help="The deployment; may be left out where there is one.")]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON on stdout.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="A settings file (YAML) to begin with.")
]
Pairs = Annotated[
    list[str] | None, typer.Option("-p", metavar="KEY=VALUE", help="A setting; may be repeated.")
]


def main() -> None:
    """The console script."""
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(_run(sys.argv[1:] or ["--help"]))


def _run(arguments: list[str]) -> int:
    from jarkkit.cli import failures

    as_json = "--json" in arguments
    try:
        code = app(arguments, standalone_mode=False)
    except JarkkitError as error:
        return failures.explain(error, as_json=as_json)
    except KeyboardInterrupt:
        return failures.interrupted(as_json=as_json)
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # click's own errors, and defects
        return failures.other(error, as_json=as_json)
    return code if isinstance(code, int) else 0


def _terminated(*_: Any) -> None:
    raise KeyboardInterrupt


def _version(asked: bool) -> None:
    if asked:
        from jarkkit import __version__

        typer.echo(f"jarkkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Tell and end.")
    ] = False,
) -> None:
    pass


# -- the journey -----------------------------------------------------------------------------------


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="Its name.")] = "demo",
    settings: SettingsFile = None,
    pairs: Pairs = None,
    sandbox: Annotated[bool, typer.Option("--sandbox", help="As a rehearsal.")] = False,
    as_json: Json = False,
) -> None:
    """Make a deployment: a folder with its settings."""
    from jarkkit.cli import show
    from jarkkit.kit import Kit

    values = _values(settings, pairs)
    kit = Kit.create(name, rehearsal=_rehearsed(sandbox), values=values)
    show.where(kit, as_json=as_json)


@app.command()
def configure(
    name: Name = "", settings: SettingsFile = None, pairs: Pairs = None, as_json: Json = False
) -> None:
    """Change settings of a deployment."""
    from jarkkit.cli import show
    from jarkkit.kit import Kit

    kit = Kit.open(name)
    kit.configure(_values(settings, pairs))
    show.where(kit, as_json=as_json)


@app.command()
def preflight(
    name: Name = "",
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask anew what was answered minutes ago.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Will it work here?"""
    from jarkkit.cli import show
    from jarkkit.kit import Kit

    return show.report(Kit.open(name).preflight(refresh=refresh), as_json=as_json)


@app.command()
def plan(name: Name = "", as_json: Json = False) -> None:
    """What exactly will be created?"""
    from jarkkit.cli import show
    from jarkkit.kit import Kit

    kit = Kit.open(name)
    show.plan(show.follow(kit.plan(), as_json=as_json), as_json=as_json)
    if not as_json:
        show.say(f"{kit.bill().summary}\nThe {kit.time().deploy.summary}")


@app.command()
def deploy(name: Name = "", yes: Yes = False, as_json: Json = False) -> None:
    """Build it, or go on where an earlier run stopped."""
    from jarkkit.cli import show
    from jarkkit.kit import Kit

    kit = Kit.open(name)
    _agree(kit, yes)
    deployed = show.follow(kit.deploy(), as_json=as_json)
    show.value(deployed, f"Deployed in {deployed.seconds:.0f} s.", as_json=as_json)


@app.command()
def verify(
    name: Name = "",
    deep: Annotated[
        bool, typer.Option("--deep", help="Make a volume, too, and take it away again.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Does it work? The account and the cluster are asked."""
    from jarkkit.cli import show
    from jarkkit.kit import Kit

    return show.report(Kit.open(name).verify(deep=deep), as_json=as_json)


@app.command()
def diagnose(name: Name = "", as_json: Json = False) -> int:
    """Why is it broken? Looks everywhere, changes nothing, works at any moment."""
    from jarkkit.cli import show
    from jarkkit.kit import Kit

    return show.report(Kit.open(name).diagnose(), as_json=as_json)


@app.command()
def cost(
    name: Name = "",
    hours: Annotated[float, typer.Option(min=0.0, help="How long a session is.")] = 4.0,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask AWS for today's list prices first.")
    ] = False,
    as_json: Json = False,
) -> None:
    """What does it cost: an hour, a session, a month, so far?"""
    from jarkkit.cli import show
    from jarkkit.kit import Kit

    found = Kit.open(name).cost(hours=hours, refresh=refresh)
    show.out(json.dumps(found.as_dict(), indent=1) if as_json else found.text())


@app.command()
def status(name: Name = "", as_json: Json = False) -> None:
    """Where does it stand, and what is the one next command?"""
    from jarkkit.cli import show
    from jarkkit.home import deployments, find_home
    from jarkkit.kit import Kit

    names = (name,) if name else deployments(find_home())
    if len(names) > 1:
        show.all_of([Kit.open(each) for each in names], as_json=as_json)
    else:
        show.where(Kit.open(name), as_json=as_json)


@app.command()
def cleanup(
    name: Name = "",
    confirm: Annotated[str, typer.Option(help="The deployment's name, typed once more.")] = "",
    as_json: Json = False,
) -> None:
    """Destroy everything and prove that nothing is left."""
    from jarkkit.cli import show
    from jarkkit.kit import Kit

    kit = Kit.open(name)
    if not confirm and _somebody_there():
        confirm = typer.prompt(f"Type {kit.name} to destroy it", err=True)
    receipt = show.follow(kit.cleanup(confirm=confirm), as_json=as_json)
    show.receipt(receipt, kit.proof(), as_json=as_json)


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="The deployment; made if it is new.")] = "demo",
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Rehearse in a sandbox.")] = False,
    settings: SettingsFile = None,
    pairs: Pairs = None,
    first: Annotated[str, typer.Option("--from", help="Begin with this notebook (03).")] = "",
    last: Annotated[str, typer.Option("--to", help="End with this notebook (05).")] = "",
    speed: Annotated[
        float | None,
        typer.Option(help="Rehearsed time: 1 is AWS' own, 60 is faster, 0 is at once."),
    ] = None,
    confirm: Annotated[
        str, typer.Option(help="In a real account: the name, to let notebook 08 destroy it.")
    ] = "",
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """All notebooks, one after the other, with nobody there."""
    from jarkkit.cli import journey

    return journey.run(
        name,
        sandbox=_rehearsed(sandbox),
        values=_values(settings, pairs),
        first=first,
        last=last,
        speed=speed,
        confirm=confirm,
        yes=yes,
        as_json=as_json,
    )


@app.command()
def lab(
    sandbox: Annotated[bool, typer.Option("--sandbox", help="With a sandbox beside it.")] = False,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open one.")] = True,
    port: Annotated[int, typer.Option(help="Port on loopback; 0 takes a free one.")] = 0,
) -> int:
    """JupyterLab, opened at the first notebook."""
    from jarkkit.cli import lab as jupyter

    return jupyter.run(sandbox=sandbox, browser=browser, port=port)


# -- what there is ---------------------------------------------------------------------------------


@app.command(hidden=True)
def token(
    name: Name = "",
    home: Annotated[Path | None, typer.Option(help="The kit's home.")] = None,
) -> None:
    """A token for the cluster's API: what the deployment's kubeconfig runs."""
    from jarkkit.cli import show
    from jarkkit.cluster.access import exec_credential
    from jarkkit.kit import Kit

    show.out(exec_credential(*Kit.open(name, home=home).token()))


@app.command()
def errors(
    code: Annotated[str, typer.Argument(help="One code; all when left out.")] = "",
    as_json: Json = False,
) -> None:
    """The error codes and what they mean."""
    from jarkkit.cli import show

    show.errors(code, as_json=as_json)


@app.command()
def doctor(as_json: Json = False) -> int:
    """Is this machine ready? Tools, provider, disk; no account is asked."""
    from jarkkit.cli import show
    from jarkkit.kit import machine

    return show.report(machine(), as_json=as_json)


def _values(settings: Path | None, pairs: list[str] | None) -> dict[str, Any]:
    """Settings from a file, then from -p; the environment lies between, where they are made."""
    from jarkkit.kit import settings_of_file
    from jarkkit.settings_sources import read_environment, read_pairs

    values = settings_of_file(settings) if settings else {}
    return {**values, **read_environment(os.environ), **read_pairs(pairs or [])}


def _rehearsed(sandbox: bool) -> bool:
    """Also when the environment already points at a sandbox (`eval "$(jarkkit sandbox env)"`)."""
    return sandbox or "127.0.0.1" in os.environ.get("AWS_ENDPOINT_URL", "")


def _agree(kit: Any, yes: bool) -> None:
    """Ask before money is spent. A rehearsal spends none."""
    if yes or kit.rehearsal:
        return
    if not _somebody_there():
        raise JarkkitError(
            "JK-USAGE", "Nobody is there to agree to the deploy.", "Say so: add --yes"
        )
    if not typer.confirm(f"Build {kit.name} in {kit.settings.region} now?", err=True):
        raise typer.Exit(1)


def _somebody_there() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


from jarkkit.cli.addons import app as _addons  # noqa: E402 - the last of the commands
from jarkkit.cli.drills import drills as _drills  # noqa: E402
from jarkkit.cli.permissions import permissions as _permissions  # noqa: E402
from jarkkit.cli.quotas import app as _quotas  # noqa: E402
from jarkkit.cli.regions import regions as _regions  # noqa: E402
from jarkkit.cli.sandbox import app as _sandbox  # noqa: E402 - needs the types above
from jarkkit.cli.use import app as _use  # noqa: E402

app.command(name="permissions")(_permissions)
app.command(name="regions")(_regions)
app.add_typer(_addons, name="addons")
app.add_typer(_quotas, name="quotas")
app.add_typer(_use, name="use")
_sandbox.command(name="drills")(_drills)
app.add_typer(_sandbox, name="sandbox")
