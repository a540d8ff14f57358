"""Answers that are written once for all sandboxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jarkkit.sandbox.account.ec2 import written


class Pen:
    """Writes an answer, and counts how often it had to."""

    def __init__(self, size: int = 200_000) -> None:
        self.times, self.size = 0, size

    def __call__(self) -> tuple[int, dict[str, Any], str]:
        self.times += 1
        return 200, {"Content-Type": "text/xml"}, f"<answer>{self.times}</answer>" + " " * self.size


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JARKKIT_CACHE", str(tmp_path))
    written._MEMORY.clear()
    return tmp_path / "sandbox-answers"


def test_the_next_sandbox_finds_it(cache: Path) -> None:
    pen = Pen()
    first = written.once("a question", pen)
    written._MEMORY.clear()  # another process
    assert written.once("a question", pen) == first
    assert pen.times == 1
    assert written.once("another question", pen) != first


@pytest.mark.parametrize("damage", [b"", b"no archive", b"\x1f\x8b\x08\x00"])
def test_a_file_that_was_cut_short_is_written_anew(cache: Path, damage: bytes) -> None:
    pen = Pen()
    written.once("a question", pen)
    (file,) = cache.iterdir()
    file.write_bytes(damage)
    written._MEMORY.clear()
    assert written.once("a question", pen)[2].startswith("<answer>2<")


def test_short_answers_are_kept_in_memory_alone(cache: Path) -> None:
    pen = Pen(size=10)
    assert written.once("a question", pen) == written.once("a question", pen)
    assert not cache.exists()


def test_without_a_cache_it_answers_all_the_same(cache: Path) -> None:
    cache.write_text("in the way of the folder")
    pen = Pen()
    assert written.once("a question", pen)[0] == 200
    assert written.once("a question", pen)[0] == 200
    assert pen.times == 1


def test_the_oldest_are_forgotten(cache: Path) -> None:
    for number in range(45):
        written.once(str(number), Pen())
    assert len(list(cache.iterdir())) <= 41
