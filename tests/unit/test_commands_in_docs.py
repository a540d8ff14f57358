"""The commands that the documentation shows exist, with these options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from jarkkit.cli.app import app

ROOT = Path(__file__).parents[2]
# Users run the code blocks of these pages as they are.
RUNNABLE = ("README.md", "docs/rehearsal.md", "docs/real-account.md", "docs/cost.md")
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def commands_of(page: Path) -> list[list[str]]:
    """Return the commands of a page's code blocks, without `jarkkit`."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    parts = [part.strip() for line in lines for part in line.split("&&")]
    return [shlex.split(p, comments=True)[1:] for p in parts if p.startswith("jarkkit ")]


def problem(words: list[str]) -> str | None:
    """Return what the command line does not know about a command, if anything."""
    command: Any = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    if command.name == "quotas":  # `jarkkit quotas NAME` is `jarkkit quotas show NAME`
        command = command.commands["show"]
    if hasattr(command, "commands"):
        if words and not words[0].startswith("-"):
            return f"no command {words[0]}"
        if not words and not command.invoke_without_command:
            return "a command is missing"
    known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    used = [word.partition("=")[0] for word in words if word.startswith("-")]
    return next((f"no option {option}" for option in used if option not in known), None)


@pytest.mark.parametrize("name", RUNNABLE)
def test_the_commands_of_a_page_exist(name: str) -> None:
    commands = commands_of(ROOT / name)
    assert [(words, p) for words in commands if (p := problem(words))] == []
    assert commands or name == "README.md"


def test_the_rehearsal_page_runs_all_steps_in_order() -> None:
    words = [" ".join(command[:2]) for command in commands_of(ROOT / "docs" / "rehearsal.md")]
    steps = ("sandbox up", "init lab1", "preflight lab1", "plan lab1", "deploy lab1",
             "verify lab1", "cleanup lab1", "sandbox down")  # fmt: skip
    assert [word for word in words if word in steps] == list(steps)


@pytest.mark.parametrize("words", [["sandbox", "upp"], ["deploy", "--quickly"], ["nothing"]])
def test_an_unknown_command_is_found(words: list[str]) -> None:
    assert problem(words)


def test_every_relative_link_points_to_a_file() -> None:
    broken = []
    for page in (*PAGES, ROOT / "terraform" / "README.md"):
        prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)[^)]*\)", prose):
            if not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []
