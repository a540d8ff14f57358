"""Responses that are rendered once for all sandboxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jarkkit.sandbox.account.ec2 import response_cache


class ResponseFactory:
    """Creates a response and counts its calls."""

    def __init__(self, size: int = 200_000) -> None:
        self.calls, self.size = 0, size

    def __call__(self) -> tuple[int, dict[str, Any], str]:
        self.calls += 1
        return 200, {"Content-Type": "text/xml"}, f"<answer>{self.calls}</answer>" + " " * self.size


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JARKKIT_CACHE", str(tmp_path))
    response_cache._MEMORY.clear()
    return tmp_path / "sandbox-answers"


def test_the_next_process_reads_the_cached_response(cache_folder: Path) -> None:
    factory = ResponseFactory()
    first = response_cache.get_or_create("a question", factory)
    response_cache._MEMORY.clear()  # another process
    assert response_cache.get_or_create("a question", factory) == first
    assert factory.calls == 1
    assert response_cache.get_or_create("another question", factory) != first


@pytest.mark.parametrize("damage", [b"", b"no archive", b"\x1f\x8b\x08\x00"])
def test_a_damaged_file_is_written_again(cache_folder: Path, damage: bytes) -> None:
    factory = ResponseFactory()
    response_cache.get_or_create("a question", factory)
    (file,) = cache_folder.iterdir()
    file.write_bytes(damage)
    response_cache._MEMORY.clear()
    again: Any = response_cache.get_or_create("a question", factory)[2]
    assert again.startswith("<answer>2<")


def test_short_responses_are_kept_only_in_memory(cache_folder: Path) -> None:
    factory = ResponseFactory(size=10)
    assert response_cache.get_or_create("a question", factory) == response_cache.get_or_create(
        "a question", factory
    )
    assert not cache_folder.exists()


def test_responses_are_created_without_a_cache_folder(cache_folder: Path) -> None:
    cache_folder.write_text("in the way of the folder")
    factory = ResponseFactory()
    assert response_cache.get_or_create("a question", factory)[0] == 200
    assert response_cache.get_or_create("a question", factory)[0] == 200
    assert factory.calls == 1


def test_the_oldest_responses_are_evicted(cache_folder: Path) -> None:
    for number in range(45):
        response_cache.get_or_create(str(number), ResponseFactory())
    assert len(list(cache_folder.iterdir())) <= 41
