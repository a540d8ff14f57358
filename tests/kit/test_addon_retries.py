"""Retries of an add-on's install: which errors, how often, for how long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from jarkkit.model.errors import Interrupted, JarkkitError, Unreachable
from jarkkit.ports.kube import Kube
from jarkkit.steps.cluster.retry import CRD, wait_for_crds, with_retries
from tests.support.fakes.cluster import FakeKube

BUSY = JarkkitError("JK-HELM-FAILED", "Not yet.", "Wait.", transient=True)
GONE = Unreachable("JK-KUBE-UNREACHABLE", "The API did not answer.", "Check it.")


class Time(threading.Event):
    """A clock, and the event that ends the retries: waiting for it moves the clock."""

    seconds = 100.0

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds += timeout or 0.0
        return self.is_set()


class Install:
    """An install that takes some seconds and raises some error, or succeeds, at each attempt."""

    def __init__(self, time: Time, *attempts: tuple[float, JarkkitError | None]) -> None:
        self.time, self.attempts, self.made = time, attempts, 0

    def __call__(self) -> None:
        seconds, error = self.attempts[min(self.made, len(self.attempts) - 1)]
        self.made += 1
        self.time.seconds += seconds
        if error:
            raise error


def retried(
    *attempts: tuple[float, JarkkitError | None],
) -> tuple[Time, Install, Callable[[], None]]:
    time = Time()
    install = Install(time, *attempts)
    return time, install, lambda: with_retries(install, time, lambda: time.seconds)


def test_what_comes_up_within_seconds_is_awaited() -> None:
    _, install, run = retried(*[(0.1, BUSY)] * 19, (0.1, None))
    run()
    assert install.made == 20


def test_an_error_that_stays_is_raised_after_the_last_attempt() -> None:
    _, install, run = retried((0.1, BUSY))
    with pytest.raises(JarkkitError, match="Not yet"):
        run()
    assert install.made == 20


def test_a_cluster_that_does_not_answer_is_given_up_after_two_attempts() -> None:
    """Each attempt takes as long as the client's own retries."""
    time, install, run = retried((65.0, GONE))
    with pytest.raises(Unreachable):
        run()
    assert install.made == 2
    assert time.seconds - 100.0 < 132.0


def test_an_api_server_that_restarts_after_a_long_hook_is_awaited() -> None:
    _, install, run = retried((180.0, BUSY), (40.0, BUSY), (30.0, None))
    run()
    assert install.made == 3


def test_a_permanent_error_is_raised_at_once() -> None:
    _, install, run = retried((0.1, BUSY), (0.1, JarkkitError("JK-HELM-FAILED", "No.", "Fix it.")))
    with pytest.raises(JarkkitError, match="No"):
        run()
    assert install.made == 2


def test_a_stopped_installation_makes_no_attempt() -> None:
    time, install, run = retried((0.1, BUSY))
    time.set()
    with pytest.raises(Interrupted):
        run()
    assert install.made == 0


class CrdKube(FakeKube):
    """A cluster with the CRD of a kind, which it serves at the third look."""

    looks = 0

    def serves_kind(self, api_version: str, kind: str) -> bool:
        self.looks += 1
        return self.looks > 2


OBJECT = {"apiVersion": "example.com/v1", "kind": "Sample", "metadata": {"name": "it"}}


def crd(group: str) -> dict[str, Any]:
    return {
        "apiVersion": CRD[0],
        "kind": CRD[1],
        "metadata": {"name": f"samples.{group}"},
        "spec": {"group": group, "names": {"kind": "Sample"}},
    }


def test_a_crd_that_is_not_served_yet_is_awaited() -> None:
    kube, time = CrdKube(), Time()
    kube.put(crd("example.com"))
    wait_for_crds(cast(Kube, kube), [OBJECT, OBJECT], 600, time.wait)
    assert (kube.looks, time.seconds - 100.0) == (3, 2.0)


def test_a_kind_without_a_crd_is_not_awaited() -> None:
    kube, time = CrdKube(), Time()
    kube.put(crd("other.example.com"))
    wait_for_crds(cast(Kube, kube), [OBJECT], 600, time.wait)
    assert (kube.looks, time.seconds - 100.0) == (1, 0.0)


def test_a_stopped_installation_does_not_wait_for_a_crd() -> None:
    kube, time = CrdKube(), Time()
    kube.put(crd("example.com"))
    time.set()
    wait_for_crds(cast(Kube, kube), [OBJECT], 600, time.wait)
    assert kube.looks == 1
