"""The documentation site: the pages of docs/ and the executed notebooks of one rehearsal.

    make site

The build reads local files only, and every warning of Sphinx is an error. It takes the newest
complete rehearsal in `deployments/`; without one, it runs one first.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).parents[1]
OUT = ROOT / "site"
# Files that the pages link to, with the layout of the repository, so that links stay as they are.
_PAGES = (
    "docs/**/*.md",
    "terraform/README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "CODE_OF_CONDUCT.md",
)
_FILES = (
    "docs/**/*.svg",
    "docs/**/*.png",
    "docs/**/*.json",
    "LICENSE",
    "environment.yml",
)
_GUIDE = (
    "docs/rehearsal.md",
    "docs/real-account.md",
    "docs/commands.md",
    "docs/headless.md",
    "docs/workloads.md",
    "docs/library.md",
    "docs/troubleshooting.md",
)
_PROJECT = (
    "docs/architecture.md",
    "terraform/README.md",
    "docs/glossary.md",
    "docs/style.md",
    "CONTRIBUTING.md",
    "docs/releasing.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "CODE_OF_CONDUCT.md",
)
_ACCOUNT_ID = re.compile(r"(?<![\d.])\d{12}(?!\d)")
# The outputs that a page shows. A widget's state stays in its kernel; its text is shown instead.
_SHOWN = ("text/", "image/", "application/json")
_SETTINGS: dict[str, Any] = {
    "project": "jarkkit",
    "author": "The jarkkit authors",
    "copyright": "The jarkkit authors. Apache-2.0",
    "extensions": ["myst_nb"],
    "html_theme": "furo",
    "html_title": "jarkkit",
    "html_copy_source": False,
    "html_show_sourcelink": False,
    "html_show_sphinx": False,
    "highlight_language": "text",
    "myst_heading_anchors": 4,
    "nb_execution_mode": "off",
    "nb_merge_streams": True,
    "nb_ipywidgets_js": {},  # no script from another host
    # Notebooks count their headings as they teach, not as a book does.
    "suppress_warnings": ["myst.header"],
}


class SiteError(Exception):
    """A reason why there is no site, in one sentence."""


def build(rehearsal: Path, out: Path) -> None:
    """Build the site from the repository and a rehearsal's folder. Raises SiteError."""
    from sphinx.application import Sphinx

    with tempfile.TemporaryDirectory(prefix="jarkkit-site-") as folder:
        source = Path(folder) / "source"
        collect(rehearsal, source)
        shutil.rmtree(out, ignore_errors=True)
        app = Sphinx(
            srcdir=source,
            confdir=None,
            outdir=out,
            doctreedir=Path(folder) / "doctrees",
            buildername="html",
            confoverrides=_SETTINGS,
            status=None,
            warningiserror=True,
            parallel=2,
        )
        app.build()
        if app.statuscode:
            raise SiteError("Sphinx reported warnings; see the lines above.")


def collect(rehearsal: Path, source: Path) -> None:
    """Write the sources of all pages: the repository's, and the executed notebooks.

    Raises SiteError if a notebook holds an account id.
    """
    for pattern in (*_PAGES, *_FILES):
        for path in ROOT.glob(pattern):
            text = source / path.relative_to(ROOT)
            text.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".md":
                text.write_text(_relinked(path.read_text()))
            else:
                shutil.copyfile(path, text)
    (source / "notebooks").mkdir(parents=True)
    for path in executed(rehearsal):
        nbformat.write(_presentable(path), str(source / "notebooks" / path.name))
    (source / "index.md").write_text(
        _relinked((ROOT / "README.md").read_text()) + _contents(source)
    )


def executed(rehearsal: Path) -> tuple[Path, ...]:
    """Return a rehearsal's executed notebooks, in order. Raises SiteError if one is missing."""
    paths = tuple(
        rehearsal / "notebooks" / path.name for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
    )
    for path in paths:
        if not path.is_file():
            raise SiteError(f"{path} does not exist: the rehearsal is incomplete.")
    return paths


def newest_rehearsal(deployments: Path) -> Path | None:
    """Return the folder of the newest rehearsal in which every notebook succeeded, if any."""
    found = list[tuple[float, Path]]()
    for record in deployments.glob("*/run.json"):
        run = json.loads(record.read_text())
        ran = {notebook["name"] for notebook in run["notebooks"] if notebook["status"] == "ok"}
        wanted = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
        if run["rehearsal"] and wanted <= ran:
            found.append((record.stat().st_mtime, record.parent))
    return max(found)[1] if found else None


def main(arguments: list[str] | None = None) -> int:
    """Build the site; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.site", description=__doc__)
    parser.add_argument("--rehearsal", type=Path, help="folder of an executed rehearsal")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args(arguments)
    deployments = Path(os.environ.get("JARKKIT_HOME", ROOT)) / "deployments"
    try:
        rehearsal = given.rehearsal or newest_rehearsal(deployments) or _rehearse(deployments)
        build(rehearsal, given.out)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{given.out / 'index.html'}, with the notebooks of {rehearsal}")
    return 0


def _rehearse(deployments: Path) -> Path:
    print("There is no complete rehearsal yet; running one ...", flush=True)
    command = [sys.executable, "-m", "jarkkit", "run", "demo", "--sandbox"]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise SiteError("The rehearsal failed; see the lines above.")
    return deployments / "demo"


def _presentable(path: Path) -> Any:
    """Return the notebook with the outputs that a page can show. Raises SiteError."""
    book = nbformat.read(str(path), as_version=4)
    for cell in book.cells:
        for item in cell.get("outputs", []):
            if "data" in item:
                item["data"] = {k: v for k, v in item["data"].items() if k.startswith(_SHOWN)}
    book.metadata.pop("widgets", None)
    for text in _texts(book):
        if found := _ACCOUNT_ID.search(text):
            raise SiteError(f"{path} holds a number with 12 digits, {found[0]}: an account id?")
    return book


def _texts(book: Any) -> Iterator[str]:
    """Yield what a reader of the notebook sees, without pictures."""
    for cell in book.cells:
        yield cell.source
        for item in cell.get("outputs", []):
            data = {k: v for k, v in item.get("data", {}).items() if not k.startswith("image/")}
            yield json.dumps([data, item.get("text", ""), item.get("traceback", [])])


def _relinked(text: str) -> str:
    """Return the page with its links to the README pointing to the site's first page."""
    return re.sub(r"\]\(((?:\.\./)*)README\.md", r"](\1index.md", text)


def _contents(source: Path) -> str:
    """Return the tables of contents of the first page. A new page of docs/ is a reference."""
    notebooks = sorted(str(p.relative_to(source)) for p in (source / "notebooks").glob("*.ipynb"))
    docs = sorted(str(p.relative_to(source)) for p in (source / "docs").rglob("*.md"))
    guide, project = (
        [page for page in pages if (source / page).is_file()] for pages in (_GUIDE, _PROJECT)
    )
    reference = [page for page in docs if page not in (*guide, *project)]
    return "\n".join(
        _toctree(caption, pages)
        for caption, pages in (
            ("Guide", guide),
            ("An executed rehearsal", notebooks),
            ("Reference", reference),
            ("Project", project),
        )
    )


def _toctree(caption: str, pages: Iterable[str]) -> str:
    lines = ["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
