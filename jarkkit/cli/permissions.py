"""`jarkkit permissions`: the IAM policy that a deployment needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from jarkkit.cli.options import Json, Name


def permissions(
    name: Name = "",
    account: Annotated[
        str, typer.Option(help="AWS account id; if omitted, the policy fits any account.")
    ] = "*",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Write policy files that AWS accepts as they are to this folder."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the permissions that the deployment needs as an IAM policy. Makes no AWS calls."""
    from jarkkit.cli import output
    from jarkkit.decisions.permissions.policy import named_policies, policy_document, policy_json
    from jarkkit.deployment import Deployment

    deployment = Deployment.open(name)
    statements = deployment.permissions(account)
    if out is None:
        output.out(policy_json(policy_document(statements)).rstrip())
        return
    out.mkdir(parents=True, exist_ok=True)
    policies = {
        out / f"{n}.json": p for n, p in named_policies(deployment.name, statements).items()
    }
    for path, policy in policies.items():
        path.write_text(policy_json(policy))
    written = [str(path) for path in policies]
    output.out(json.dumps({"written": written}, indent=1) if as_json else "\n".join(written))
