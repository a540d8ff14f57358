"""Several runs that share the sandbox of one home."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from jarkkit.sandbox import daemon_client
from jarkkit.sandbox.shared_use import in_use


class FakeDaemon:
    """Records when it is started and stopped."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.runs = False

    def find(self, home: Path) -> object | None:
        return self if self.runs else None

    def start(self, home: Path, *, speed: float) -> None:
        self.events.append(f"start {speed:g}")
        self.runs = True

    def stop(self, home: Path) -> bool:
        self.events.append("stop")
        self.runs = False
        return True


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> FakeDaemon:
    fake = FakeDaemon()
    for name in ("find", "start", "stop"):
        monkeypatch.setattr(daemon_client, name, getattr(fake, name))
    return fake


def never() -> None:
    pytest.fail("nothing to wait for")


def test_one_run_starts_and_stops_it(daemon: FakeDaemon, tmp_path: Path) -> None:
    with in_use(tmp_path, None, never):
        assert daemon.events == ["start 0"]
    assert daemon.events == ["start 0", "stop"]


def test_a_sandbox_of_yours_goes_on(daemon: FakeDaemon, tmp_path: Path) -> None:
    daemon.runs = True
    with in_use(tmp_path, None, never):
        pass
    assert daemon.events == []


def test_the_one_that_started_it_waits_for_the_others(daemon: FakeDaemon, tmp_path: Path) -> None:
    second_begun, first_waits = threading.Event(), threading.Event()

    def second() -> None:
        with in_use(tmp_path, None, never):
            second_begun.set()
            assert first_waits.wait(10)
            daemon.events.append("second ends")

    thread = threading.Thread(target=second)
    with in_use(tmp_path, None, first_waits.set):
        thread.start()
        assert second_begun.wait(10)
    thread.join(10)
    assert daemon.events == ["start 0", "second ends", "stop"]


def test_it_stops_also_after_an_error(daemon: FakeDaemon, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), in_use(tmp_path, 20.0, never):
        raise ValueError("no")
    assert daemon.events == ["start 20", "stop"]
