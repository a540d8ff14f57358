"""Charts that stand in for those of the catalogue, in a folder of the sandbox.

Helm installs them as it does the real ones, whatever their values are. They bring the workloads,
Services, service accounts and kinds of the catalogue, and nothing runs in their pods but those
programs that the sandbox has. Karpenter is no stand-in: its own chart comes with its source.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jarkkit.addons import catalogue
from jarkkit.addons.catalogue import Addon, Chart
from jarkkit.errors import JarkkitError
from jarkkit.sandbox.cluster.toolchain import Toolchain
from jarkkit.sandbox.files import write_private
from jarkkit.sandbox.stand_ins import chart as templates

_INDEX = "stand-ins.json"
_PARTS = Path(__file__).parent / "parts"
# Real definitions that the sandbox has, by the chart that brings them.
_DEFINITIONS = {
    "argo-workflows": "argo-workflows-crds",
    "karpenter": "karpenter-crds",
    "kuberay-operator": "kuberay-crds",
}
_KARPENTER = "karpenter"


@dataclass(frozen=True)
class StandIn:
    """One of the archives.

    Attributes:
        real: it is the real chart.
        definitions: `real`, `without schemas`, or empty where the chart defines no kinds.
    """

    addon: str
    archive: str
    real: bool
    definitions: str


def write(folder: Path, tools: Toolchain) -> None:
    """Write the archive of every add-on that is a chart, unless they are there already."""
    digest = _digest(tools)
    if _is_there(folder, digest):
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    addons = catalogue.catalogue().values()
    made = [_write_one(folder, addon, addon.chart, tools) for addon in addons if addon.chart]
    names = {stand_in.archive for stand_in in made}
    for file in folder.glob("*.tgz"):
        if file.name not in names:
            file.unlink()
    index = {"digest": digest, "charts": [asdict(stand_in) for stand_in in made]}
    write_private(folder / _INDEX, json.dumps(index, indent=1).encode())


def describe(folder: Path) -> tuple[StandIn, ...]:
    """What lies in the folder; nothing where it was never written."""
    return tuple(StandIn(**known) for known in _index(folder).get("charts", ()))


def archive_of(addon: Addon, chart: Chart, tools: Toolchain) -> tuple[StandIn, bytes]:
    """The archive of one add-on. Raises JK-TOOLCHAIN-MISSING for Karpenter without its program."""
    definitions = _definitions(chart.name, tools)
    if addon.name == _KARPENTER:
        source = _texts(tools.files("karpenter-chart"), "**/*")
        files = templates.karpenter(source, chart.version) | definitions
    else:
        part = _PARTS / f"{addon.name}.yaml"
        files = templates.files(
            addon, chart, definitions, part.read_text() if part.is_file() else ""
        )
    kinds = "real" if definitions else "without schemas" if addon.definitions else ""
    known = StandIn(addon.name, chart.archive, addon.name == _KARPENTER, kinds)
    return known, templates.pack(chart.name, files)


def _write_one(folder: Path, addon: Addon, chart: Chart, tools: Toolchain) -> StandIn:
    known, data = archive_of(addon, chart, tools)
    write_private(folder / known.archive, data)
    return known


def _definitions(chart: str, tools: Toolchain) -> dict[str, str]:
    """The chart's real definitions as files of a chart; none where they are not built yet."""
    try:
        folder = tools.files(_DEFINITIONS[chart])
    except (KeyError, JarkkitError):
        return {}
    return {f"crds/{name}": text for name, text in _texts(folder, "*_*.yaml").items()}


def _texts(folder: Path, pattern: str) -> dict[str, str]:
    files = (file for file in sorted(folder.glob(pattern)) if file.is_file())
    return {str(file.relative_to(folder)): file.read_text() for file in files}


# -- is it there? ----------------------------------------------------------------------------------


def _is_there(folder: Path, digest: str) -> bool:
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
    """Of all that the archives are made from; the catalogue is not parsed for it."""
    made_by = (file for file in sorted(Path(__file__).parent.rglob("*")) if file.is_file())
    parts = [file.read_bytes() for file in made_by if file.suffix in (".py", ".yaml")]
    parts += [text.encode() for text in _catalogue_files()]
    parts += [str(place).encode() for place in _places(tools)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _catalogue_files() -> Iterator[str]:
    folder = resources.files(catalogue.__package__ or "") / "catalog"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yaml"):
            yield file.name + file.read_text()


def _places(tools: Toolchain) -> Iterator[Path | None]:
    """Where the toolchain's definitions are; the folder's name says of which version."""
    for name in _DEFINITIONS.values():
        try:
            yield tools.files(name)
        except JarkkitError:
            yield None
