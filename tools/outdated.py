"""A table of what has aged: charts, Go builds, EKS versions, prices, facts, Python packages.

    make outdated

Reports and changes nothing. What cannot be reached is "not checked".
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from jarkkit.catalog import facts
from jarkkit.catalog.addons import Chart, addon_catalog
from jarkkit.model.errors import JarkkitError
from jarkkit.ports.chart_repositories import ChartRepositories
from jarkkit.settings import CLUSTER_VERSIONS

ROOT = Path(__file__).parents[1]
BUILDS = ROOT / "jarkkit" / "sandbox" / "builds"
PRICES = ROOT / "jarkkit" / "catalog" / "prices.json"
NOTICE_DAYS = 60  # before the end of a version's standard support
PRICE_DAYS = 180
FACT_DAYS = 365
_SECONDS = 120.0
_AT_A_TIME = 8

Status = Literal["current", "outdated", "not checked"]
Newest = Callable[[str], str]
"""Returns the newest version of a package; raises LookupError if it cannot be found out."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        newest: newest version, or the date on which the pinned one ends.
    """

    what: str
    pinned: str
    newest: str
    status: Status


def charts(pinned: Mapping[str, str], newest: Newest) -> list[Row]:
    """Compare the charts' versions, by name of the add-on, with those in their repositories."""
    return _compared("chart", pinned, newest)


def python_packages(pinned: Mapping[str, str], newest: Newest) -> list[Row]:
    """Compare the pinned versions of the direct dependencies with the newest releases."""
    return _compared("package", pinned, newest)


def go_modules(build: Path, run: Callable[[Path, Sequence[str]], str]) -> list[Row]:
    """Compare what a build compiles with the newest versions of those modules.

    Args:
        run: runs `go` with these arguments in that folder; raises LookupError if that fails.
    """
    label = f"Go build {build.name}"
    with tempfile.TemporaryDirectory(prefix="jarkkit-go-") as name:
        copy = Path(name)  # go may rewrite go.mod
        for file in ("go.mod", "go.sum"):
            (copy / file).write_bytes((build / file).read_bytes())
        try:
            wanted = direct_modules(json.loads(run(copy, ["mod", "edit", "-json"])))
            listed = run(
                copy, ["list", "-e", "-mod=mod", "-m", "-u", "-versions", "-json", *wanted]
            )
        except LookupError:
            return [Row(label, "go.mod", "", "not checked")]
    return [_go_row(label, module) for module in _json_stream(listed)]


def direct_modules(mod: Mapping[str, Any]) -> list[str]:
    """Return the modules that a go.mod requires directly or builds a tool from."""
    required = mod.get("Require") or []
    direct = {item["Path"] for item in required if not item.get("Indirect")}
    for tool in mod.get("Tool") or []:
        of = [r["Path"] for r in required if f"{tool['Path']}/".startswith(f"{r['Path']}/")]
        direct.add(max(of, key=len))
    return sorted(direct)


def eks_versions(ends: Mapping[str, date | None], today: date) -> list[Row]:
    """List the supported EKS versions with the end of their standard support."""
    rows = list[Row]()
    for version, end in ends.items():
        late = end is not None and end - today <= timedelta(days=NOTICE_DAYS)
        status: Status = "not checked" if end is None else "outdated" if late else "current"
        rows.append(Row(f"EKS {version}", version, f"ends {end}" if end else "", status))
    return rows


def prices(dates: Mapping[str, str], today: date) -> list[Row]:
    """List the dates of the price sources: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`."""
    return [_dated(f"price {source}", text, today, PRICE_DAYS) for source, text in dates.items()]


def dated_facts(dates: Mapping[str, str], today: date) -> list[Row]:
    """List the dates of the sources of `catalog/facts/`, by file and source."""
    return [_dated(f"fact {source}", text, today, FACT_DAYS) for source, text in dates.items()]


def _dated(what: str, text: str, today: date, days: int) -> Row:
    year, month, day = (*map(int, text.split("-")), 1, 1)[:3]
    age = (today - date(year, month, day)).days
    return Row(what, text, f"{age} days old", "outdated" if age > days else "current")


def pinned_packages(pyproject: str, requirements: str) -> dict[str, str]:
    """Return the pinned version of each direct dependency."""
    project = tomllib.loads(pyproject)["project"]
    wanted = list(project["dependencies"])
    for extra in project.get("optional-dependencies", {}).values():
        wanted += extra
    names = {re.split(r"[\[<>=!~; ]", item)[0].lower() for item in wanted}
    pins = dict(re.findall(r"^([a-z0-9._-]+)==([^\s;\\]+)", requirements, re.MULTILINE))
    return {name: pins[name] for name in sorted(names) if name in pins}


def newest_stable(versions: Iterable[str]) -> str:
    """Return the highest version that is no pre-release. Raises LookupError if there is none."""
    stable = [v for v in versions if re.fullmatch(r"v?\d+(\.\d+)*(\+\S+)?", v)]
    if not stable:
        raise LookupError("no stable version")
    return max(stable, key=_numbers)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text, with a summary."""
    cells = [("what", "pinned", "newest, or ends", "status")]
    cells += [(row.what, row.pinned, row.newest or "-", row.status) for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    lines = [
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]])
        for row in cells
    ]
    counts = [
        f"{sum(row.status == status for row in rows)} {status}"
        for status in ("current", "outdated", "not checked")
    ]
    return "\n".join([*lines, "", ", ".join(counts)])


def main() -> int:
    """Print the table."""
    print(table(collect(datetime.now(UTC).date())))
    return 0


def collect(today: date) -> list[Row]:
    """Collect all rows from the repository and from what can be reached."""
    known = {addon.name: addon.chart for addon in addon_catalog().values() if addon.chart}
    repositories = ChartRepositories()
    known_versions = facts.eks_versions()
    ends = {v: known_versions[v].standard_support_ends for v in CLUSTER_VERSIONS}
    read = {
        f"{file} {key}": source.date
        for file in facts.FILES
        for key, source in facts.sources(file).items()
    }
    sources = json.loads(PRICES.read_text())["sources"]
    pins = pinned_packages(
        (ROOT / "pyproject.toml").read_text(), (ROOT / "requirements.txt").read_text()
    )
    return [
        *charts(
            {name: chart.version for name, chart in known.items()},
            lambda name: newest_stable(_versions(repositories, known[name])),
        ),
        *(row for build in sorted(BUILDS.iterdir()) for row in go_modules(build, _go)),
        *eks_versions(ends, today),
        *prices({name: source["date"] for name, source in sources.items()}, today),
        *dated_facts(read, today),
        *python_packages(pins, _newest_package),
    ]


def _versions(repositories: ChartRepositories, chart: Chart) -> tuple[str, ...]:
    try:
        return repositories.versions(chart)
    except JarkkitError as error:
        raise LookupError(error.message) from error


def _compared(kind: str, pinned: Mapping[str, str], newest: Newest) -> list[Row]:
    def row(item: tuple[str, str]) -> Row:
        name, version = item
        try:
            found = newest(name)
        except LookupError:
            return Row(f"{kind} {name}", version, "", "not checked")
        later = _numbers(found) > _numbers(version)
        return Row(f"{kind} {name}", version, found, "outdated" if later else "current")

    with ThreadPoolExecutor(_AT_A_TIME) as workers:
        return list(workers.map(row, pinned.items()))


def _go_row(label: str, module: Mapping[str, Any]) -> Row:
    what, pinned = f"{label}: {module['Path']}", module["Version"]
    if update := module.get("Update"):
        return Row(what, pinned, update["Version"], "outdated")
    if not module.get("Versions"):  # GOPROXY=off: go lists the module all the same
        return Row(what, pinned, "", "not checked")
    return Row(what, pinned, pinned, "current")


def _json_stream(text: str) -> list[Any]:
    decoder, position, values = json.JSONDecoder(), 0, list[Any]()
    while position < len(text.rstrip()):
        value, position = decoder.raw_decode(text, position)
        values.append(value)
        position += len(text[position:]) - len(text[position:].lstrip())
    return values


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("+")[0]))


def _go(folder: Path, arguments: Sequence[str]) -> str:
    return _output(["go", *arguments], folder)


def _newest_package(name: str) -> str:
    text = _output([sys.executable, "-m", "pip", "index", "versions", name], ROOT)
    found = re.match(r"\S+ \(([^)]+)\)", text)
    if not found:
        raise LookupError(name)
    return found[1]


def _output(command: Sequence[str], folder: Path) -> str:
    """Return what a program prints. Raises LookupError if it fails or is missing."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LookupError(str(error)) from error
    if done.returncode:
        raise LookupError(done.stderr.strip())
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
