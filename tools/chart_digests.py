"""Fills in the `sha256` of charts in the catalog, from the repositories.

    make digests

It downloads every chart. It writes the digest where a file has none, and reports one that differs;
delete the line when you change the version. What cannot be reached is "not checked".
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from jarkkit.catalog.addons import Chart, addon_catalog
from jarkkit.model.errors import JarkkitError
from jarkkit.ports.chart_repositories import ChartRepositories

ADDONS = Path(__file__).parents[1] / "jarkkit" / "catalog" / "addons"
_UP_TO_VERSION = re.compile(r"^chart:\n(?:  .*\n)*?  version: .*\n", re.MULTILINE)

Outcome = Literal["added", "unchanged", "DIFFERS", "not checked"]


def fill_in(file: Path, chart: Chart, fetch: Callable[[Chart], bytes]) -> Outcome:
    """Write the digest of the published archive into an add-on's file, unless it has one.

    Args:
        fetch: returns the archive that the repository publishes; raises JK-CHART-….
    """
    try:
        digest = hashlib.sha256(fetch(chart)).hexdigest()
    except JarkkitError:
        return "not checked"
    if chart.sha256:
        return "unchanged" if chart.sha256 == digest else "DIFFERS"
    file.write_text(with_digest(file.read_text(), digest))
    return "added"


def with_digest(text: str, digest: str) -> str:
    """Return an add-on's file with the digest after the chart's version."""
    found = _UP_TO_VERSION.search(text)
    if found is None:
        raise ValueError("the file has no chart with a version")
    return f"{text[: found.end()]}  sha256: {digest}\n{text[found.end() :]}"


def main() -> int:
    """Fill in all digests. Return 1 if one differs."""
    repositories = ChartRepositories()
    outcomes = set[Outcome]()
    for name, addon in addon_catalog().items():
        if addon.chart:
            file = ADDONS / f"{name}.yaml"
            outcome = fill_in(file, addon.chart, lambda chart: repositories.fetch(chart).data)
            print(f"{addon.chart.name:32} {addon.chart.version:12} {outcome}")
            outcomes.add(outcome)
    return int("DIFFERS" in outcomes)


if __name__ == "__main__":
    sys.exit(main())
