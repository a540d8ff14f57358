"""Displays: summaries and pictures of a step's result, and the final check of a notebook."""

from __future__ import annotations

from IPython.display import display

from jarkkit.model.errors import JarkkitError
from jarkkit.render.markup import passed


def check(condition: object, what: str, fix: str) -> None:
    """Check a condition at the end of a notebook. Raises JK-NOTEBOOK-FAILED with the fix."""
    if not condition:
        raise JarkkitError("JK-NOTEBOOK-FAILED", f"Check failed: {what}.", fix)
    display(passed(what))
