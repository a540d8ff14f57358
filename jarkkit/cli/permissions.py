"""`jarkkit permissions`: the policy that a deployment needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from jarkkit.cli.app import Json, Name


def permissions(
    name: Name = "",
    account: Annotated[
        str, typer.Option(help="The account's id; left out, the policy is for any account.")
    ] = "*",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write it as policies that AWS takes as they are."),
    ] = None,
    as_json: Json = False,
) -> None:
    """What the deployment needs to be allowed, as an IAM policy. No account is asked."""
    from jarkkit.cli import show
    from jarkkit.kit import Kit
    from jarkkit.permissions import needed
    from jarkkit.permissions.policy import document, parts, text

    kit = Kit.open(name)
    statements = needed(kit.settings, account)
    if out is None:
        show.out(text(document(statements)).rstrip())
        return
    out.mkdir(parents=True, exist_ok=True)
    policies = {out / f"jarkkit-{kit.name}-{n}.json": p for n, p in parts(statements).items()}
    for path, policy in policies.items():
        path.write_text(text(policy))
    written = [str(path) for path in policies]
    show.out(json.dumps({"written": written}, indent=1) if as_json else "\n".join(written))
