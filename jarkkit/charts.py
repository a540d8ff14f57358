"""Helm charts on this machine: one place for all of them, filled from their own repositories once.

`<chart>-<version>.tgz` as `helm pull` names them, and beside them `checksums.json`: what each file
was when it came, from where, and when. A file that somebody put there by hand counts as well.
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
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import yaml

from jarkkit.addons.catalogue import Chart
from jarkkit.chart_repositories import Repositories, Sent
from jarkkit.errors import JarkkitError
from jarkkit.home import user_cache

# In Chart.yaml of the charts that a sandbox makes from the catalogue.
STAND_IN = "jarkkit.io/stand-in"
_CHECKSUMS = "checksums.json"
_BY_HAND = "by hand"
_AT_A_TIME = 4


@dataclass(frozen=True)
class Found:
    """A chart's archive.

    Attributes:
        real: False for a stand-in.
    """

    path: Path
    real: bool


@dataclass(frozen=True)
class Pulled:
    """How the pull of one chart ended.

    Attributes:
        status: `there` when the cache had it.
        size: of the archive, in bytes.
        done, total: charts so far and in all.
        error: why it failed.
    """

    chart: Chart
    status: Literal["pulled", "there", "failed"]
    seconds: float
    done: int
    total: int
    size: int = 0
    error: JarkkitError | None = None


@dataclass(frozen=True)
class Charts:
    """Where charts come from. Safe to use from several threads and processes.

    Args:
        cache: folder of the archives; made when something is to be written.
        stand_ins: folder of a sandbox with those that it made; None for a real account.
    """

    cache: Path
    stand_ins: Path | None = None

    def find(self, chart: Chart) -> Found:
        """The archive: from the cache, else a stand-in.

        Raises JK-CHART-MISSING, JK-CHART-CHECKSUM.
        """
        cached = self.cache / chart.archive
        if cached.is_file():
            self._check(chart, cached.read_bytes())
            return Found(cached, real=True)
        stand_in = self.stand_ins / chart.archive if self.stand_ins else None
        if stand_in and stand_in.is_file():
            return Found(stand_in, real=not _is_stand_in(stand_in.read_bytes()))
        raise JarkkitError(
            "JK-CHART-MISSING",
            f"The chart {chart.name} {chart.version} is not in the chart cache {self.cache}.",
            "Where the internet can be reached: jarkkit addons pull. Elsewhere put "
            f"{chart.archive} of {chart.repository} there.",
        )

    def require(self, charts: Iterable[Chart]) -> tuple[Found, ...]:
        """All of them. Raises JK-CHART-MISSING with the names of all that cannot be found, and
        JK-CHART-CHECKSUM."""
        found, missing = list[Found](), list[str]()
        for chart in charts:
            try:
                found.append(self.find(chart))
            except JarkkitError as error:
                if error.code != "JK-CHART-MISSING":
                    raise
                missing.append(f"{chart.name} {chart.version}")
        if missing:
            raise JarkkitError(
                "JK-CHART-MISSING",
                f"{len(missing)} charts are not in the chart cache {self.cache}: "
                f"{', '.join(missing)}.",
                "Where the internet can be reached: jarkkit addons pull. Elsewhere copy the "
                "archives there; jarkkit addons show NAME tells where one is from.",
            )
        return tuple(found)

    def pull(self, charts: Iterable[Chart]) -> Iterator[Pulled]:
        """Fetch those that the cache does not have; yields each as it ends. One that fails does
        not stop the others.

        Raises JK-CHART-PULL when the cache cannot be written.
        """
        wanted = list({chart.archive: chart for chart in charts}.values())
        self._make_folder()
        repositories = Repositories()
        with ThreadPoolExecutor(_AT_A_TIME) as workers:
            begun = [workers.submit(self._pull, chart, repositories) for chart in wanted]
            try:
                for done, ended in enumerate(as_completed(begun), 1):
                    chart, status, seconds, size, error = ended.result()
                    yield Pulled(chart, status, seconds, done, len(wanted), size, error)
            finally:
                workers.shutdown(wait=False, cancel_futures=True)

    def _pull(
        self, chart: Chart, repositories: Repositories
    ) -> tuple[Chart, Literal["pulled", "there", "failed"], float, int, JarkkitError | None]:
        began = time.monotonic()
        path = self.cache / chart.archive
        try:
            if path.is_file():
                self._check(chart, path.read_bytes())
                return chart, "there", 0.0, path.stat().st_size, None
            sent = repositories.fetch(chart)
            self._keep(chart, sent)
            return chart, "pulled", time.monotonic() - began, len(sent.data), None
        except JarkkitError as error:
            return chart, "failed", time.monotonic() - began, 0, error

    # -- the folder ----------------------------------------------------------------------------

    def _check(self, chart: Chart, data: bytes) -> None:
        """It is what was recorded; one that was put there by hand is recorded now."""
        known = self._recorded().get(chart.archive)
        if known is None:
            _require_chart(chart, data, "JK-CHART-CHECKSUM", str(self.cache / chart.archive))
            with contextlib.suppress(OSError):  # somebody else's folder, read-only to us
                self._record(chart, hashlib.sha256(data).hexdigest(), _BY_HAND)
        elif known["sha256"] != hashlib.sha256(data).hexdigest():
            raise _changed(chart, self.cache / chart.archive, known["from"])

    def _keep(self, chart: Chart, sent: Sent) -> None:
        """Write the archive whole or not at all, and its checksum first."""
        _require_chart(chart, sent.data, "JK-CHART-PULL", sent.url)
        path = self.cache / chart.archive
        digest = hashlib.sha256(sent.data).hexdigest()
        try:
            known = self._record(chart, digest, sent.url)
            if known["sha256"] != digest:
                raise _changed(chart, path, known["from"])
            _write(path, sent.data)
        except OSError as error:
            raise _not_writable(self.cache, error) from error

    def _recorded(self) -> dict[str, dict[str, str]]:
        try:
            return dict(json.loads((self.cache / _CHECKSUMS).read_text()))
        except (OSError, ValueError):  # none yet; a damaged one is made anew
            return {}

    def _record(self, chart: Chart, digest: str, source: str) -> dict[str, str]:
        """Write a checksum down unless there is one; returns the one that holds."""
        with (self.cache / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = self._recorded()
            if chart.archive not in known:
                moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                known[chart.archive] = {"sha256": digest, "from": source, "time": moment}
                text = json.dumps(known, indent=1, sort_keys=True) + "\n"
                _write(self.cache / _CHECKSUMS, text.encode())
            return known[chart.archive]

    def _make_folder(self) -> None:
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _not_writable(self.cache, error) from error


def chart_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """The chart cache: $JARKKIT_CHART_CACHE, else `charts` in the user's cache folder of jarkkit,
    which is $JARKKIT_CACHE or the system's own place."""
    if named := environ.get("JARKKIT_CHART_CACHE"):
        return Path(named).expanduser()
    return user_cache(environ) / "charts"


def stand_in_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Where the sandbox that the environment points at keeps its stand-ins."""
    named = environ.get("JARKKIT_STAND_IN_CHARTS")
    return Path(named) if named else None


# -- archives --------------------------------------------------------------------------------------


def _about(data: bytes) -> dict[str, Any]:
    """Chart.yaml of an archive; empty when it is none."""
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


def _is_stand_in(data: bytes) -> bool:
    return (_about(data).get("annotations") or {}).get(STAND_IN) == "true"


def _require_chart(chart: Chart, data: bytes, code: str, source: str) -> None:
    """Raise unless it is an archive of that chart: a proxy's login page is none."""
    about = _about(data)
    found = (about.get("name"), str(about.get("version", "")).removeprefix("v"))
    if found != (chart.name, chart.version.removeprefix("v")):
        what = f"the chart {found[0]} {found[1]}" if about else "no chart"
        raise JarkkitError(
            code,
            f"{source} holds {what}, not {chart.name} {chart.version}.",
            f"Remove it from the chart cache, if it is there, and get {chart.archive} again: "
            "jarkkit addons pull",
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
        f"{path} is not the {chart.name} {chart.version} that was recorded ({source}).",
        f"If that was meant remove its entry from {path.parent / _CHECKSUMS}; else remove the file "
        "and get it again: jarkkit addons pull",
    )


def _not_writable(cache: Path, error: OSError) -> JarkkitError:
    return JarkkitError(
        "JK-CHART-PULL",
        f"The chart cache {cache} cannot be written: {error.strerror}.",
        "Make room or give access to it, or name another folder: JARKKIT_CHART_CACHE=FOLDER",
    )
