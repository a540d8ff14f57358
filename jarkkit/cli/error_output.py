"""Error output and exit codes of commands. Users never see a traceback."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from pathlib import Path

import typer

from jarkkit.model.errors import Interrupted, InvalidUsage, JarkkitError


def report_error(error: JarkkitError, *, as_json: bool) -> int:
    """Print one of our own errors; return the exit code."""
    if as_json:
        sys.stdout.write(json.dumps({"error": error.as_dict()}) + "\n")
    else:
        sys.stderr.write("\n".join(error.lines()) + "\n")
    if isinstance(error, Interrupted):
        return 130
    return 2 if isinstance(error, InvalidUsage) else 1


def interrupted(*, as_json: bool) -> int:
    """Report Ctrl-C or SIGTERM; return the exit code."""
    fix = "Everything done so far is recorded. See the state: jarkkit status"
    return report_error(Interrupted("JK-INTERRUPTED", "Interrupted.", fix), as_json=as_json)


def report_exception(error: Exception, *, as_json: bool) -> int:
    """Report a usage error from typer, or a bug of our own; return the exit code."""
    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, typer.Abort):
        return interrupted(as_json=as_json)
    if isinstance(error, typer.TyperException):
        usage = InvalidUsage("JK-USAGE", str(error), "See the options: jarkkit --help")
        return report_error(usage, as_json=as_json)
    return report_error(_bug(error), as_json=as_json)


def _bug(error: Exception) -> JarkkitError:
    """Write the traceback to a file that only its owner can read."""
    descriptor, name = tempfile.mkstemp(prefix="jarkkit-crash-", suffix=".log")
    with os.fdopen(descriptor, "w") as log:
        traceback.print_exception(error, file=log)
    return JarkkitError(
        "JK-INTERNAL",
        f"Bug in jarkkit: {type(error).__name__}: {error}",
        f"Report it and attach {Path(name)}. You can safely run the command again.",
    )
