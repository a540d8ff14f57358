"""`jarkkit use`: example workloads, and the web UIs of the add-ons."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jarkkit.cli.options import Json, Name

if TYPE_CHECKING:
    from jarkkit.deployment import Deployment

app = typer.Typer(
    help="Run example workloads; open the web UIs of Grafana, Argo and JupyterHub.",
    invoke_without_command=True,
    rich_markup_mode=None,
)

EndpointName = Annotated[
    str, typer.Argument(help="Name of the web UI, as `jarkkit use` lists it, e.g. grafana.")
]


@app.callback()
def list_examples(
    context: typer.Context,
    deployment: Annotated[
        str, typer.Option(help="Name of the deployment; optional if there is only one.")
    ] = "",
    as_json: Json = False,
) -> None:
    """List the example workloads and the web UIs."""
    if context.invoked_subcommand is not None:
        return
    from jarkkit.cli import output
    from jarkkit.deployment import Deployment

    opened = Deployment.open(deployment)
    if as_json:
        examples = [example.model_dump(mode="json") for example in opened.examples()]
        pages = [{"name": at.name, "title": at.title} for at in opened.endpoints()]
        output.out(json.dumps({"workloads": examples, "places": pages}, indent=1))
        return
    _list(opened)


def _list(deployment: Deployment) -> None:
    from jarkkit.cli import output

    output.out("Examples (jarkkit use run NAME):")
    for example in deployment.examples():
        extra = example.why_not_runnable or f"about {example.minutes} min on AWS. {example.cost}"
        output.out(
            f"  {'-' if example.why_not_runnable else ' '} {example.name:16} {example.title}"
        )
        output.out(f"{'':21}{extra}")
    output.out("Web UIs (jarkkit use open NAME):")
    for at in deployment.endpoints():
        login = f"  login: jarkkit use password {at.name}" if at.secret else ""
        output.out(f"    {at.name:16} {at.title}{login}")


@app.command()
def run(
    workload: Annotated[
        str, typer.Argument(help="Name of the example, as `jarkkit use` lists it.")
    ],
    name: Name = "",
    as_json: Json = False,
) -> None:
    """Run an example workload, show its result, and delete it again."""
    from jarkkit.cli import output
    from jarkkit.deployment import Deployment
    from jarkkit.model.errors import JarkkitError

    result = output.follow(Deployment.open(name).use(workload), as_json=as_json)
    if result.status == "skip":
        raise JarkkitError(
            "JK-USE-UNKNOWN",
            f"{result.title}: {result.message}.",
            "List what can run here: jarkkit use. To change that, edit the settings and deploy.",
        )
    output.print_record(result, output.text(result), as_json=as_json)


@app.command(name="open")
def open_web_ui(
    endpoint: EndpointName,
    name: Name = "",
    port: Annotated[
        int, typer.Option(help="Port on this machine; 0 for any free one.", min=0, max=65535)
    ] = 0,
) -> None:
    """Forward the web UI of an add-on to this machine until Ctrl-C."""
    from jarkkit.cli import output
    from jarkkit.deployment import Deployment

    with Deployment.open(name).open_endpoint(endpoint, port) as url:
        output.out(url)
        sys.stdout.flush()
        output.info(f"Login: jarkkit use password {endpoint}. Press Ctrl-C to stop.")
        _until_interrupted()


@app.command()
def password(
    endpoint: EndpointName,
    name: Name = "",
    yes: Annotated[bool, typer.Option("--yes", help="Print also to a file or a pipe.")] = False,
) -> None:
    """Print the login of a web UI. It is read from the cluster and never stored."""
    from jarkkit.cli import output
    from jarkkit.deployment import Deployment
    from jarkkit.model.errors import JarkkitError

    if not yes and not sys.stdout.isatty():
        raise JarkkitError(
            "JK-USAGE",
            "Passwords are printed only to a terminal.",
            "To print it to a file or a pipe, add --yes.",
        )
    login = Deployment.open(name).login(endpoint)
    if login.user:
        output.out(f"user: {login.user}\npassword: {login.password}")
    else:
        output.out(f"token: Bearer {login.password}")


@app.command()
def convert(
    file: Annotated[
        Path, typer.Argument(help="YAML file: Kubernetes objects, or values of JupyterHub.")
    ],
    name: Name = "",
    to: Annotated[
        Path | None, typer.Option("--to", help="Write the result to this file, not to stdout.")
    ] = None,
) -> None:
    """Rewrite a manifest of another kit for the deployment's node pools; change nothing else."""
    import yaml

    from jarkkit.cli import output
    from jarkkit.decisions.foreign_manifests import convert as convert_documents
    from jarkkit.deployment import Deployment
    from jarkkit.model.errors import JarkkitError

    settings = Deployment.open(name).settings
    try:
        documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise JarkkitError(
            "JK-USAGE", f"{file}: {error}.", "Name a file with Kubernetes objects in YAML."
        ) from None
    done = convert_documents(documents, settings)
    if to is None:
        output.out(done.text().rstrip())
    else:
        to.write_text(done.text(), encoding="utf-8")
    for line in done.changes or ("nothing: it fits as it is",):
        output.info(f"changed: {line}")
    for line in done.remarks:
        output.info(f"for you: {line}")


def _until_interrupted() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
