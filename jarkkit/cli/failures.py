"""How a command ends when it does not end well. No traceback reaches a user."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from pathlib import Path

import typer

from jarkkit.errors import JarkkitError


def explain(error: JarkkitError, *, as_json: bool) -> int:
    """Show one of our own errors; returns the exit code."""
    if as_json:
        sys.stdout.write(json.dumps({"error": error.as_dict()}) + "\n")
    else:
        sys.stderr.write("\n".join(error.lines()) + "\n")
    if error.code == "JK-INTERRUPTED":
        return 130
    return 2 if error.code == "JK-USAGE" else 1


def interrupted(*, as_json: bool) -> int:
    """Ctrl-C or SIGTERM."""
    fix = "What was done is recorded: `jarkkit status` tells where it stands."
    return explain(JarkkitError("JK-INTERRUPTED", "Interrupted.", fix), as_json=as_json)


def other(error: Exception, *, as_json: bool) -> int:
    """typer's complaints about the command line, and defects of our own."""
    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, typer.Abort):
        return interrupted(as_json=as_json)
    if isinstance(error, typer.TyperException):
        usage = JarkkitError("JK-USAGE", str(error), "Look at the options: jarkkit --help")
        return explain(usage, as_json=as_json)
    return explain(_defect(error), as_json=as_json)


def _defect(error: Exception) -> JarkkitError:
    """Keep the traceback in a file that only its owner can read."""
    descriptor, name = tempfile.mkstemp(prefix="jarkkit-crash-", suffix=".log")
    with os.fdopen(descriptor, "w") as log:
        traceback.print_exception(error, file=log)
    return JarkkitError(
        "JK-INTERNAL",
        f"A defect in jarkkit: {type(error).__name__}: {error}",
        f"Please report it with the file {Path(name)}. Running the command again is safe.",
    )
