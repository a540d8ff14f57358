"""`jarkkit use`: example workloads, and the pages of the add-ons."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from jarkkit.kit import Kit

app = typer.Typer(
    help="Run example workloads; open Grafana, Argo, the hub.",
    invoke_without_command=True,
    rich_markup_mode=None,
)

Name = Annotated[
    str, typer.Argument(help="The deployment; may be left out when it is the only one.")
]
Place = Annotated[str, typer.Argument(help="What to open, as `jarkkit use` lists it: grafana")]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON on stdout.")]


@app.callback()
def every(
    context: typer.Context,
    deployment: Annotated[str, typer.Option(help="The deployment, if there are several.")] = "",
    as_json: Json = False,
) -> None:
    """What there is to run and to open."""
    if context.invoked_subcommand is not None:
        return
    from jarkkit.cli import show
    from jarkkit.kit import Kit

    kit = Kit.open(deployment)
    if as_json:
        offers = [offer.model_dump(mode="json") for offer in kit.workloads()]
        pages = [{"name": at.name, "title": at.title} for at in kit.places()]
        show.out(json.dumps({"workloads": offers, "places": pages}, indent=1))
        return
    _list(kit)


def _list(kit: Kit) -> None:
    from jarkkit.cli import show

    show.out("To run (jarkkit use run NAME):")
    for offer in kit.workloads():
        extra = offer.hindrance or f"about {offer.minutes} min on AWS. {offer.cost}"
        show.out(f"  {'-' if offer.hindrance else ' '} {offer.name:16} {offer.title}")
        show.out(f"{'':21}{extra}")
    show.out("To open (jarkkit use open NAME):")
    for at in kit.places():
        login = f"  login: jarkkit use password {at.name}" if at.secret else ""
        show.out(f"    {at.name:16} {at.title}{login}")


@app.command()
def run(
    workload: Annotated[str, typer.Argument(help="Its name, as `jarkkit use` lists it.")],
    name: Name = "",
    as_json: Json = False,
) -> None:
    """Run an example, show what happens, and take it away again."""
    from jarkkit.cli import show
    from jarkkit.errors import JarkkitError
    from jarkkit.kit import Kit

    used = show.follow(Kit.open(name).use(workload), as_json=as_json)
    if used.status == "skip":
        raise JarkkitError(
            "JK-USE-UNKNOWN",
            f"{used.title}: {used.message}.",
            "What can run here: jarkkit use. To change that: the settings, then jarkkit plan.",
        )
    show.value(used, used.text(), as_json=as_json)


@app.command(name="open")
def open_page(place: Place, name: Name = "") -> None:
    """Open a way to a page on this machine, until Ctrl-C."""
    from jarkkit.cli import show
    from jarkkit.kit import Kit

    with Kit.open(name).open_place(place) as url:
        show.out(url)
        sys.stdout.flush()
        show.say(f"Login: jarkkit use password {place}. Ctrl-C ends it.")
        _until_interrupted()


@app.command()
def password(
    place: Place,
    name: Name = "",
    yes: Annotated[
        bool, typer.Option("--yes", help="Also when the output goes to a file or a pipe.")
    ] = False,
) -> None:
    """Print the user and password of a page. They are read from the cluster and kept nowhere."""
    from jarkkit.cli import show
    from jarkkit.errors import JarkkitError
    from jarkkit.kit import Kit

    if not yes and not sys.stdout.isatty():
        raise JarkkitError(
            "JK-USAGE",
            "A password is printed to a terminal only.",
            "If a file or a pipe is what you want: add --yes",
        )
    login = Kit.open(name).login(place)
    if login.user:
        show.out(f"user: {login.user}\npassword: {login.password}")
    else:
        show.out(f"token: Bearer {login.password}")


def _until_interrupted() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return
