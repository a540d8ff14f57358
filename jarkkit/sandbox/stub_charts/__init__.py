"""Stub charts, which replace missing charts of the catalog, in a folder of the sandbox.

Helm installs them like the real ones, with any values. They contain the workloads, Services,
service accounts and CRDs that the catalog lists. In their pods only the sandbox's own programs
run. Karpenter has no stub chart: its real chart comes with its source.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jarkkit.catalog.addons import Addon, Chart, addon_catalog
from jarkkit.model.errors import JarkkitError
from jarkkit.sandbox.kubernetes.toolchain import Toolchain
from jarkkit.sandbox.private_files import write_private
from jarkkit.sandbox.stub_charts import chart_files as templates

_INDEX = "stub-charts.json"
_PARTS = Path(__file__).parent / "extra_manifests"
# Real CRDs that the sandbox has, by chart.
_DEFINITIONS = {
    "argo-workflows": "argo-workflows-crds",
    "karpenter": "karpenter-crds",
    "kuberay-operator": "kuberay-crds",
}
_KARPENTER = "karpenter"


@dataclass(frozen=True)
class StubChart:
    """One of the archives.

    Attributes:
        real: it is the real chart.
        definitions: its CRDs: `real`, `without schemas`, or empty for a chart without CRDs.
    """

    addon: str
    archive: str
    real: bool
    definitions: str


def write_charts(folder: Path, tools: Toolchain) -> None:
    """Write the archive of every add-on with a chart, unless the folder is up to date."""
    digest = _digest(tools)
    if _is_current(folder, digest):
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    enabled = addon_catalog().values()
    made = [_write_one(folder, addon, addon.chart, tools) for addon in enabled if addon.chart]
    names = {stub.archive for stub in made}
    for file in folder.glob("*.tgz"):
        if file.name not in names:
            file.unlink()
    index = {"digest": digest, "charts": [asdict(stub) for stub in made]}
    write_private(folder / _INDEX, json.dumps(index, indent=1).encode())


def describe(folder: Path) -> tuple[StubChart, ...]:
    """Return the charts in the folder, none if it was never written."""
    return tuple(StubChart(**known) for known in _index(folder).get("charts", ()))


def build_archive(addon: Addon, chart: Chart, tools: Toolchain) -> tuple[StubChart, bytes]:
    """Return an add-on's archive. Raises JK-TOOLCHAIN-MISSING when Karpenter is not built."""
    definitions = _definitions(chart.name, tools)
    if addon.name == _KARPENTER:
        source = _texts(tools.files("karpenter-chart"), "**/*")
        files = templates.karpenter_chart(source, chart.version) | definitions
    else:
        part = _PARTS / f"{addon.name}.yaml"
        files = templates.chart_files(
            addon, chart, definitions, part.read_text() if part.is_file() else ""
        )
    kinds = "real" if definitions else "without schemas" if addon.definitions else ""
    known = StubChart(addon.name, chart.archive, addon.name == _KARPENTER, kinds)
    return known, templates.pack(chart.name, files)


def _write_one(folder: Path, addon: Addon, chart: Chart, tools: Toolchain) -> StubChart:
    known, data = build_archive(addon, chart, tools)
    write_private(folder / known.archive, data)
    return known


def _definitions(chart: str, tools: Toolchain) -> dict[str, str]:
    """Return the chart's real CRDs as files of a chart, none when they are not built yet."""
    try:
        folder = tools.files(_DEFINITIONS[chart])
    except (KeyError, JarkkitError):
        return {}
    return {f"crds/{name}": text for name, text in _texts(folder, "*_*.yaml").items()}


def _texts(folder: Path, pattern: str) -> dict[str, str]:
    files = (file for file in sorted(folder.glob(pattern)) if file.is_file())
    return {str(file.relative_to(folder)): file.read_text() for file in files}


# -- up to date? -----------------------------------------------------------------------------------


def _is_current(folder: Path, digest: str) -> bool:
    index = _index(folder)
    return index.get("digest") == digest and all(
        (folder / known["archive"]).is_file() for known in index["charts"]
    )


def _index(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / _INDEX).read_text()))
    except (OSError, ValueError):
        return {}


def _digest(tools: Toolchain) -> str:
    """Return a digest of all inputs of the archives, without parsing the catalog."""
    sources = (file for file in sorted(Path(__file__).parent.rglob("*")) if file.is_file())
    parts = [file.read_bytes() for file in sources if file.suffix in (".py", ".yaml")]
    parts += [text.encode() for text in _catalog_files()]
    parts += [str(folder).encode() for folder in _crd_folders(tools)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _catalog_files() -> Iterator[str]:
    folder = resources.files("jarkkit.catalog.addons")
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yaml"):
            yield file.name + file.read_text()


def _crd_folders(tools: Toolchain) -> Iterator[Path | None]:
    """Yield the folders of the toolchain's CRDs; a folder's name depends on the version."""
    for name in _DEFINITIONS.values():
        try:
            yield tools.files(name)
        except JarkkitError:
            yield None
