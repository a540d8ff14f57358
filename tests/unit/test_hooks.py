"""The hooks of .pre-commit-config.yaml run what `make lint` runs."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_the_hooks_run_what_make_lint_runs() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("$(BIN)", ".venv/bin")
    recipes = re.findall(r"^(?:style|lint):.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    lines = "".join(recipes).splitlines()
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    entries = [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]]
    assert len(entries) == len(lines)
    for line, entry in zip(lines, entries, strict=True):
        if "terraform_path" in line:  # a shell command, which make and YAML quote differently
            assert line.strip().replace("$$", "$") in entry
        else:
            words = [word for word in line.split() if word not in (".", "--check")]
            assert set(words) - {"notebooks/*.ipynb"} <= set(entry.split()), line


def test_the_hooks_use_the_tools_of_this_environment() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    for repo in config["repos"]:
        assert repo["repo"] == "local"
        assert {hook["language"] for hook in repo["hooks"]} == {"system"}
