"""`jarkkit cost`: the bill, what was spent, and how long things take."""

from __future__ import annotations

import json

from jarkkit.cli import show
from jarkkit.kit import Kit


def run(name: str, *, hours: float, refresh: bool, as_json: bool) -> None:
    """Show what a deployment costs."""
    found = Kit.open(name).cost(hours=hours, refresh=refresh)
    show.out(json.dumps(found.as_dict(), indent=1) if as_json else found.text())
