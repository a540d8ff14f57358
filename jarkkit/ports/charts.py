"""The local cache of Helm charts, filled once from their repositories.

It contains `<chart>-<version>.tgz`, as `helm pull` names them, and `checksums.json` with the
checksum, source and time of each download. You can also copy archives into the cache yourself.
Formats: https://helm.sh/docs/topics/chart_repository/ and https://helm.sh/docs/topics/registries/.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import yaml

from jarkkit.catalog.addons import Chart
from jarkkit.model.errors import JarkkitError, NotFound
from jarkkit.ports.chart_repositories import ChartRepositories, DownloadedChart
from jarkkit.ports.paths import user_cache

# Annotation in Chart.yaml of the stub charts, which a sandbox generates from the catalog.
STUB_CHART_ANNOTATION = "jarkkit.io/stub-chart"
_CHECKSUMS = "checksums.json"
_BY_HAND = "by hand"
_AT_A_TIME = 4


@dataclass(frozen=True)
class LocatedChart:
    """A chart's archive.

    Attributes:
        real: False for a stub chart.
    """

    path: Path
    real: bool


@dataclass(frozen=True)
class PullResult:
    """Result of the pull of one chart.

    Attributes:
        status: `there` if the cache already had it.
        size: size of the archive, in bytes.
        done, total: number of charts completed so far, and of all.
        error: cause of a failure.
    """

    chart: Chart
    status: Literal["pulled", "there", "failed"]
    seconds: float
    done: int
    total: int
    size: int = 0
    error: JarkkitError | None = None


@dataclass(frozen=True)
class ChartStore:
    """The chart cache and the sandbox's stub charts. Safe for several threads and processes.

    Args:
        cache: folder of the archives, created on the first write.
        stub_charts: folder of a sandbox's stub charts; None for a real account.
    """

    cache: Path
    stub_charts: Path | None = None

    def find(self, chart: Chart) -> LocatedChart:
        """Return the archive from the cache, else the stub chart.

        Raises JK-CHART-MISSING, JK-CHART-CHECKSUM.
        """
        cached = self.cache / chart.archive
        if cached.is_file():
            self._check(chart, cached.read_bytes())
            return LocatedChart(cached, real=True)
        stub = self.stub_charts / chart.archive if self.stub_charts else None
        if stub and stub.is_file():
            return LocatedChart(stub, real=not _is_stub_chart(stub.read_bytes()))
        raise JarkkitError(
            "JK-CHART-MISSING",
            f"The chart {chart.name} {chart.version} is not in the chart cache {self.cache}.",
            "With internet access: jarkkit addons pull. Without, copy "
            f"{chart.archive} from {chart.repository} into it.",
        )

    def find_all(self, charts: Iterable[Chart]) -> tuple[LocatedChart, ...]:
        """Return all archives. Raises JK-CHART-MISSING with the names of all missing charts, and
        JK-CHART-CHECKSUM."""
        found, missing = list[LocatedChart](), list[str]()
        for chart in charts:
            try:
                found.append(self.find(chart))
            except NotFound:
                missing.append(f"{chart.name} {chart.version}")
        if missing:
            raise JarkkitError(
                "JK-CHART-MISSING",
                f"{len(missing)} charts are not in the chart cache {self.cache}: "
                f"{', '.join(missing)}.",
                "With internet access: jarkkit addons pull. Without, copy the archives into it; "
                "jarkkit addons show NAME shows the source.",
            )
        return tuple(found)

    def pull(self, charts: Iterable[Chart]) -> Iterator[PullResult]:
        """Download the charts that the cache lacks and yield each result. A failed download does
        not stop the others.

        Raises JK-CHART-PULL if the cache is not writable.
        """
        unique = list({chart.archive: chart for chart in charts}.values())
        self._make_folder()
        repositories = ChartRepositories()
        with ThreadPoolExecutor(_AT_A_TIME) as workers:
            total = len(unique)
            begun = [workers.submit(self._pull, chart, repositories, total) for chart in unique]
            try:
                for done, ended in enumerate(as_completed(begun), 1):
                    yield replace(ended.result(), done=done)
            finally:
                workers.shutdown(wait=False, cancel_futures=True)

    def _pull(self, chart: Chart, repositories: ChartRepositories, total: int) -> PullResult:
        began = time.monotonic()
        pulled = partial(PullResult, chart, done=0, total=total)
        path = self.cache / chart.archive
        try:
            if path.is_file():
                self._check(chart, path.read_bytes())
                return pulled("there", 0.0, size=path.stat().st_size)
            sent = repositories.fetch(chart)
            self._keep(chart, sent)
            return pulled("pulled", time.monotonic() - began, size=len(sent.data))
        except JarkkitError as error:
            return pulled("failed", time.monotonic() - began, error=error)

    # -- the folder ----------------------------------------------------------------------------

    def _check(self, chart: Chart, data: bytes) -> None:
        """Verify the catalog's and the recorded checksum; record it for an archive that you copied
        yourself."""
        _require_published(chart, data, str(self.cache / chart.archive))
        recorded = self._recorded().get(chart.archive)
        if recorded is None:
            _require_chart(chart, data, "JK-CHART-CHECKSUM", str(self.cache / chart.archive))
            with contextlib.suppress(OSError):  # a read-only folder of another user
                self._record(chart, hashlib.sha256(data).hexdigest(), _BY_HAND)
        elif recorded["sha256"] != hashlib.sha256(data).hexdigest():
            raise _changed(chart, self.cache / chart.archive, recorded["from"])

    def _keep(self, chart: Chart, sent: DownloadedChart) -> None:
        """Record the checksum, then write the archive atomically."""
        _require_chart(chart, sent.data, "JK-CHART-PULL", sent.url)
        _require_published(chart, sent.data, sent.url)
        path = self.cache / chart.archive
        digest = hashlib.sha256(sent.data).hexdigest()
        try:
            record = self._record(chart, digest, sent.url)
            if record["sha256"] != digest:
                raise _changed(chart, path, record["from"])
            _write(path, sent.data)
        except OSError as error:
            raise _not_writable(self.cache, error) from error

    def _recorded(self) -> dict[str, dict[str, str]]:
        try:
            return dict(json.loads((self.cache / _CHECKSUMS).read_text()))
        except (OSError, ValueError):  # none yet; a damaged file is replaced
            return {}

    def _record(self, chart: Chart, digest: str, source: str) -> dict[str, str]:
        """Record a checksum unless one exists. Returns the recorded entry."""
        with (self.cache / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            recorded = self._recorded()
            if chart.archive not in recorded:
                moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                recorded[chart.archive] = {"sha256": digest, "from": source, "time": moment}
                text = json.dumps(recorded, indent=1, sort_keys=True) + "\n"
                _write(self.cache / _CHECKSUMS, text.encode())
            return recorded[chart.archive]

    def _make_folder(self) -> None:
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _not_writable(self.cache, error) from error


def chart_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the chart cache: $JARKKIT_CHART_CACHE, else `charts` in jarkkit's user cache folder,
    which is $JARKKIT_CACHE or the system's default location."""
    if named := environ.get("JARKKIT_CHART_CACHE"):
        return Path(named).expanduser()
    return user_cache(environ) / "charts"


def stub_chart_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the stub chart folder of the sandbox in the environment."""
    named = environ.get("JARKKIT_STUB_CHARTS")
    return Path(named) if named else None


# -- archives --------------------------------------------------------------------------------------


def _about(data: bytes) -> dict[str, Any]:
    """Return Chart.yaml of an archive; empty if it is not a chart."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            for member in archive:
                if member.name.count("/") == 1 and member.name.endswith("/Chart.yaml"):
                    file = archive.extractfile(member)
                    found = yaml.safe_load(file.read()) if file else None
                    return found if isinstance(found, dict) else {}
    except (tarfile.TarError, OSError, EOFError, yaml.YAMLError):
        pass
    return {}


def _is_stub_chart(data: bytes) -> bool:
    return (_about(data).get("annotations") or {}).get(STUB_CHART_ANNOTATION) == "true"


def _require_chart(chart: Chart, data: bytes, code: str, source: str) -> None:
    """Raise unless the data is an archive of that chart, and not, for example, a login page."""
    about = _about(data)
    found = (about.get("name"), str(about.get("version", "")).removeprefix("v"))
    if found != (chart.name, chart.version.removeprefix("v")):
        what = f"the chart {found[0]} {found[1]}" if about else "no chart"
        raise JarkkitError(
            code,
            f"{source} contains {what}, not {chart.name} {chart.version}.",
            f"Delete it from the chart cache, if it exists, and download {chart.archive} again: "
            "jarkkit addons pull",
        )


def _require_published(chart: Chart, data: bytes, source: str) -> None:
    """Raise unless the archive is the one of the catalog, if that names its checksum."""
    found = hashlib.sha256(data).hexdigest()
    if chart.sha256 and chart.sha256 != found:
        raise JarkkitError(
            "JK-CHART-CHECKSUM",
            f"{source} is not the {chart.name} {chart.version} of jarkkit's catalog: "
            f"sha256 {found}, not {chart.sha256}.",
            f"Delete it from the chart cache, if it exists, and download {chart.archive} again: "
            "jarkkit addons pull. If it differs again, a proxy has changed the file, or the "
            "repository has replaced it: do not install it.",
        )


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _changed(chart: Chart, path: Path, source: str) -> JarkkitError:
    return JarkkitError(
        "JK-CHART-CHECKSUM",
        f"{path} differs from the recorded {chart.name} {chart.version} ({source}).",
        f"If you replaced it, delete its entry from {path.parent / _CHECKSUMS}; otherwise delete "
        "the file and download it again: jarkkit addons pull",
    )


def _not_writable(cache: Path, error: OSError) -> JarkkitError:
    return JarkkitError(
        "JK-CHART-PULL",
        f"The chart cache {cache} is not writable: {error.strerror}.",
        "Free disk space, fix its permissions, or set another folder: JARKKIT_CHART_CACHE=FOLDER",
    )
