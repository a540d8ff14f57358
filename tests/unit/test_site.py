"""The documentation site, built from a made-up rehearsal."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tools import site

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def rehearsal(folder: Path, text: str = "91 resources were created", **run: object) -> Path:
    """Write a deployment's folder with every notebook; the first has the text as an output."""
    (folder / "notebooks").mkdir(parents=True)
    for path in NOTEBOOKS:
        book = nbformat.read(str(path), as_version=4)
        if path == NOTEBOOKS[0]:
            widget = {"model_id": "0", "version_major": 2}
            data = {"text/plain": text, "application/vnd.jupyter.widget-view+json": widget}
            cell = next(cell for cell in book.cells if cell.cell_type == "code")
            cell.outputs = [nbformat.v4.new_output("display_data", data)]
        nbformat.write(book, str(folder / "notebooks" / path.name))
    notebooks = [{"name": path.stem, "status": "ok"} for path in NOTEBOOKS]
    (folder / "run.json").write_text(json.dumps({"rehearsal": True, "notebooks": notebooks, **run}))
    return folder


def test_the_site_builds_without_warnings_and_loads_nothing_external(tmp_path: Path) -> None:
    folder, out = rehearsal(tmp_path / "demo"), tmp_path / "site"
    command = [sys.executable, "-m", "tools.site", "--rehearsal", str(folder), "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = {path.relative_to(out).as_posix(): path.read_text() for path in out.rglob("*.html")}
    assert "91 resources were created" in pages[f"notebooks/{NOTEBOOKS[0].stem}.html"]
    assert {f"docs/{path.stem}.html" for path in (ROOT / "docs").glob("*.md")} <= pages.keys()
    for name, page in pages.items():
        loads = r'<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="(?:https?:)?//[^"]*"'
        assert not re.findall(loads, page), name


def test_an_account_id_in_an_output_stops_the_build(tmp_path: Path) -> None:
    folder = rehearsal(tmp_path / "demo", "arn:aws:iam::210987654321:role/x")
    with pytest.raises(site.SiteError, match="12 digits"):
        site.collect(folder, tmp_path / "source")


@pytest.mark.parametrize("text", ["0.210987654321", "1234567890123"])
def test_other_long_numbers_do_not_stop_the_build(tmp_path: Path, text: str) -> None:
    site.collect(rehearsal(tmp_path / "demo", text), tmp_path / "source")


def test_a_widget_becomes_its_text(tmp_path: Path) -> None:
    site.collect(rehearsal(tmp_path / "demo"), tmp_path / "source")
    text = (tmp_path / "source" / "notebooks" / NOTEBOOKS[0].name).read_text()
    assert "widget-view" not in text
    assert "91 resources were created" in text


def test_an_incomplete_rehearsal_is_rejected(tmp_path: Path) -> None:
    folder = rehearsal(tmp_path / "demo")
    (folder / "notebooks" / NOTEBOOKS[-1].name).unlink()
    with pytest.raises(site.SiteError, match="incomplete"):
        site.executed(folder)


class TestNewestRehearsal:
    def test_is_the_last_complete_rehearsal(self, tmp_path: Path) -> None:
        old, new = rehearsal(tmp_path / "old"), rehearsal(tmp_path / "new")
        rehearsal(tmp_path / "real", rehearsal=False)
        rehearsal(tmp_path / "part", notebooks=[{"name": NOTEBOOKS[0].stem, "status": "ok"}])
        failed = [{"name": path.stem, "status": "failed"} for path in NOTEBOOKS]
        rehearsal(tmp_path / "failed", notebooks=failed)
        os.utime(old / "run.json", (1, 1))
        assert site.newest_rehearsal(tmp_path) == new

    def test_is_none_without_a_rehearsal(self, tmp_path: Path) -> None:
        assert site.newest_rehearsal(tmp_path) is None
