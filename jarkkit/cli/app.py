"""Commands. Each calls the deployment and prints the result: data to stdout, the rest to stderr.

Exit codes: 0 success, 1 a finding or a failed step, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from jarkkit.cli.options import Json, Name, Pairs, Refresh, SettingsFile, Yes
from jarkkit.model.errors import JarkkitError

app = typer.Typer(
    name="jarkkit",
    help="Deploy the JARK stack (JupyterHub, Argo Workflows, Ray, Kubernetes) on Amazon EKS, and "
    "rehearse it first. Start with: jarkkit run --sandbox",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the console script."""
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(_run(sys.argv[1:] or ["--help"]))


def _run(arguments: list[str]) -> int:
    from jarkkit.cli import error_output

    as_json = "--json" in arguments
    try:
        code = app(arguments, standalone_mode=False)
    except JarkkitError as error:
        return error_output.report_error(error, as_json=as_json)
    except KeyboardInterrupt:
        return error_output.interrupted(as_json=as_json)
    except BrokenPipeError:  # the reader of our output has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # click's own errors, and bugs
        return error_output.report_exception(error, as_json=as_json)
    return code if isinstance(code, int) else 0


def _terminated(*_: Any) -> None:
    raise KeyboardInterrupt


def _version(requested: bool) -> None:
    if requested:
        from jarkkit import __version__

        typer.echo(f"jarkkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose",
            count=True,
            help="Log steps, Terraform commands and Helm actions to stderr; twice: also calls.",
        ),
    ] = 0,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Also log the calls to AWS and Kubernetes, with durations."),
    ] = False,
    log_file: Annotated[
        Path | None,
        typer.Option("--log-file", help="Append the log to this file, which only you can read."),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    if verbose or debug or log_file:
        from jarkkit.cli import logging_setup

        context.call_on_close(logging_setup.start(verbose=verbose, debug=debug, file=log_file))


# -- workflow --------------------------------------------------------------------------------------


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="Name of the new deployment.")] = "demo",
    settings: SettingsFile = None,
    pairs: Pairs = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Create it as a rehearsal in the sandbox.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Create a deployment: a folder with its settings."""
    from jarkkit.cli import output
    from jarkkit.deployment import Deployment

    values = _values(settings, pairs)
    deployment = Deployment.create(name, rehearsal=_rehearsed(sandbox), values=values)
    output.status(deployment, as_json=as_json)


@app.command()
def configure(
    name: Name = "", settings: SettingsFile = None, pairs: Pairs = None, as_json: Json = False
) -> None:
    """Change the settings of a deployment."""
    from jarkkit.cli import output
    from jarkkit.deployment import Deployment

    deployment = Deployment.open(name)
    deployment.configure(_values(settings, pairs))
    output.status(deployment, as_json=as_json)


@app.command()
def preflight(
    name: Name = "",
    refresh: Refresh = False,
    as_json: Json = False,
) -> int:
    """Check whether the deployment will work in your account."""
    from jarkkit.cli import output
    from jarkkit.deployment import Deployment

    return output.report(Deployment.open(name).preflight(refresh=refresh), as_json=as_json)


@app.command()
def plan(
    name: Name = "",
    upgrade: Annotated[
        bool,
        typer.Option("--upgrade", help="Move EKS add-ons and node images to the newest versions."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Plan the deployment: show exactly what will be created."""
    from jarkkit.cli import output
    from jarkkit.deployment import Deployment

    deployment = Deployment.open(name)
    output.plan(output.follow(deployment.plan(upgrade=upgrade), as_json=as_json), as_json=as_json)
    if not as_json:
        output.info(
            f"{deployment.bill().summary}\nThe {deployment.estimate_duration().deploy.summary}"
        )


@app.command()
def deploy(
    name: Name = "",
    yes: Yes = False,
    confirm: Annotated[
        str,
        typer.Option(help="The deployment's name: allow the losses that `jarkkit plan` lists."),
    ] = "",
    allow_orphans: Annotated[
        bool,
        typer.Option(
            "--allow-orphans",
            help="Replace a cluster even if it cannot be emptied first: its load balancers, "
            "volumes and instances are left.",
        ),
    ] = False,
    skip_preflight: Annotated[
        bool,
        typer.Option(
            "--skip-preflight", help="Deploy even if the last preflight of these settings failed."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Deploy, or continue where an earlier run stopped."""
    from jarkkit.cli import output
    from jarkkit.deployment import Deployment

    deployment = Deployment.open(name)
    confirm = confirm or _confirmed_losses(deployment)
    # Rejects unconfirmed losses and a failed preflight before it asks.
    work = deployment.deploy(
        confirm=confirm, allow_orphans=allow_orphans, skip_preflight=skip_preflight
    )
    _confirm_deploy(deployment, yes)
    deployed = output.follow(work, as_json=as_json)
    output.print_record(deployed, f"Deployed in {deployed.seconds:.0f} s.", as_json=as_json)


@app.command()
def verify(
    name: Name = "",
    deep: Annotated[
        bool, typer.Option("--deep", help="Also create a volume and delete it again.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Check that the deployment works, in your account and in the cluster."""
    from jarkkit.cli import output
    from jarkkit.deployment import Deployment

    return output.report(Deployment.open(name).verify(deep=deep), as_json=as_json)


@app.command()
def diagnose(name: Name = "", as_json: Json = False) -> int:
    """Find out why the deployment is broken. Changes nothing and runs at any time."""
    from jarkkit.cli import output
    from jarkkit.deployment import Deployment

    return output.report(Deployment.open(name).diagnose(), as_json=as_json)


@app.command()
def cost(
    name: Name = "",
    hours: Annotated[float, typer.Option(min=0.0, help="Length of a session in hours.")] = 4.0,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Fetch today's list prices from AWS first.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what the deployment costs per hour, per session, per month, and so far."""
    from jarkkit.cli import output
    from jarkkit.deployment import Deployment

    found = Deployment.open(name).cost(hours=hours, refresh=refresh)
    output.out(json.dumps(found.as_dict(), indent=1) if as_json else output.text(found))


@app.command()
def status(name: Name = "", as_json: Json = False) -> None:
    """Show the state of the deployment and the next command to run."""
    from jarkkit.cli import output
    from jarkkit.deployment import Deployment
    from jarkkit.ports.paths import deployment_names, find_home

    names = (name,) if name else deployment_names(find_home())
    if len(names) > 1:
        output.statuses([Deployment.open(each) for each in names], as_json=as_json)
    else:
        output.status(Deployment.open(name), as_json=as_json)


@app.command()
def cleanup(
    name: Name = "",
    confirm: Annotated[str, typer.Option(help="Confirm with the deployment's name.")] = "",
    as_json: Json = False,
) -> None:
    """Destroy everything and prove that nothing is left."""
    from jarkkit.cli import output
    from jarkkit.deployment import Deployment

    deployment = Deployment.open(name)
    if not confirm and _is_interactive():
        confirm = typer.prompt(f"Type {deployment.name} to destroy it", err=True)
    receipt = output.follow(deployment.cleanup(confirm=confirm), as_json=as_json)
    output.receipt(receipt, deployment.cleanup_report(), as_json=as_json)


@app.command()
def run(
    name: Annotated[
        str, typer.Argument(help="Name of the deployment; created if it does not exist.")
    ] = "demo",
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Rehearse in a sandbox.")] = False,
    settings: SettingsFile = None,
    pairs: Pairs = None,
    first: Annotated[str, typer.Option("--from", help="Start at this notebook, e.g. 03.")] = "",
    last: Annotated[str, typer.Option("--to", help="Stop after this notebook, e.g. 05.")] = "",
    speed: Annotated[
        float | None,
        typer.Option(
            help="Speed of the sandbox: 1 is as slow as AWS, 60 is 60 times faster, 0 is instant."
        ),
    ] = None,
    confirm: Annotated[
        str,
        typer.Option(
            help="The deployment's name: allow notebook 04 to apply a plan that destroys what you "
            "would lose, and notebook 08 to destroy everything in a real account."
        ),
    ] = "",
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Run all notebooks in order, unattended.

    -p also takes the notebooks' parameters deep, skip_preflight, cause and lost.
    """
    from jarkkit.cli import run_notebooks

    of_settings, parameters = run_notebooks.split_pairs(pairs or ())
    return run_notebooks.run(
        name,
        sandbox=_rehearsed(sandbox),
        values=_values(settings, of_settings),
        parameters=parameters,
        first=first,
        last=last,
        speed=speed,
        confirm=confirm,
        yes=yes,
        as_json=as_json,
    )


@app.command()
def lab(
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Also start the sandbox.")] = False,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open a web browser.")
    ] = True,
    port: Annotated[int, typer.Option(help="Port on loopback; 0 picks a free port.")] = 0,
) -> int:
    """Start JupyterLab at the first notebook."""
    from jarkkit.cli import lab as jupyter

    return jupyter.run(sandbox=sandbox, browser=browser, port=port)


# -- information -----------------------------------------------------------------------------------


@app.command(hidden=True)
def token(
    name: Name = "",
    home: Annotated[
        Path | None, typer.Option(help="The folder that holds the deployments.")
    ] = None,
) -> None:
    """Print a token for the cluster's API. The deployment's kubeconfig runs this."""
    from jarkkit.cli import output
    from jarkkit.deployment import Deployment
    from jarkkit.steps.cluster.kubeconfig import exec_credential

    output.out(exec_credential(*Deployment.open(name, home=home).token()))


@app.command()
def errors(
    code: Annotated[str, typer.Argument(help="An error code; all if omitted.")] = "",
    as_json: Json = False,
) -> None:
    """List the error codes and what they mean."""
    from jarkkit.cli import output

    output.errors(code, as_json=as_json)


@app.command()
def doctor(as_json: Json = False) -> int:
    """Check this machine: tools, provider, disk. Makes no AWS calls."""
    from jarkkit.cli import output
    from jarkkit.deployment import check_machine

    return output.report(check_machine(), as_json=as_json)


def _values(settings: Path | None, pairs: list[str] | None) -> dict[str, Any]:
    """Return settings from the file, overridden by the environment, then by -p."""
    from jarkkit.deployment import read_settings_file
    from jarkkit.settings.sources import read_environment, read_pairs

    values = read_settings_file(settings) if settings else {}
    return {**values, **read_environment(os.environ), **read_pairs(pairs or [])}


def _rehearsed(sandbox: bool) -> bool:
    """Return True also if the environment points at a sandbox (`eval "$(jarkkit sandbox env)"`)."""
    from jarkkit.decisions.rehearsal_environment import names_a_sandbox

    return sandbox or names_a_sandbox(os.environ)


def _confirm_deploy(deployment: Any, yes: bool) -> None:
    """Ask for confirmation before a deploy that costs money. A rehearsal costs nothing."""
    if yes or deployment.rehearsal:
        return
    if not _is_interactive():
        raise JarkkitError(
            "JK-USAGE", "Cannot ask for confirmation without a terminal.", "Pass --yes to deploy."
        )
    if not typer.confirm(
        f"Deploy {deployment.name} in {deployment.settings.region} now?", err=True
    ):
        raise typer.Exit(1)


def _confirmed_losses(deployment: Any) -> str:
    """Show what the plan would lose and ask for the deployment's name; empty if it loses nothing.

    Without a terminal it returns an empty string too, which the deploy rejects.
    """
    from jarkkit.cli import output

    planned = deployment.unapplied_plan()
    if planned is None or not planned.needs_confirmation or not _is_interactive():
        return ""
    output.info(output.text(planned))
    return str(typer.prompt(f"Type {deployment.name} to lose that", err=True))


def _is_interactive() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


from jarkkit.cli.addons import app as _addons  # noqa: E402 - after the commands above
from jarkkit.cli.drills import drills as _drills  # noqa: E402
from jarkkit.cli.permissions import permissions as _permissions  # noqa: E402
from jarkkit.cli.quotas import app as _quotas  # noqa: E402
from jarkkit.cli.regions import regions as _regions  # noqa: E402
from jarkkit.cli.sandbox import app as _sandbox  # noqa: E402 - needs the types above
from jarkkit.cli.support import support as _support  # noqa: E402
from jarkkit.cli.use import app as _use  # noqa: E402

app.command(name="permissions")(_permissions)
app.command(name="regions")(_regions)
app.command(name="support")(_support)
app.add_typer(_addons, name="addons")
app.add_typer(_quotas, name="quotas")
app.add_typer(_use, name="use")
_sandbox.command(name="drills")(_drills)
app.add_typer(_sandbox, name="sandbox")
