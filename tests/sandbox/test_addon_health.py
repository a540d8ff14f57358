"""What the account says of an add-on while its workloads do well and while they do not."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from jarkkit.sandbox.account.eks.models import EksBackend
from jarkkit.sandbox.account.eks.parts import Addon, Extras
from jarkkit.sandbox.clock import CLOCK
from jarkkit.sandbox.clusters import HOST, Clusters, Health, Key
from tests.clusters.conftest import wait_for

UNWELL = Health(ready=False, message="InsufficientNumberOfReplicas: too few")
# Twenty minutes of AWS are half a second.
SPEED = 2400.0


class Patient(Clusters):
    """Clusters whose add-ons do as the test says."""

    health = UNWELL

    def addon(self, key: Key, name: str) -> Health:
        return self.health


@pytest.fixture
def patient() -> Iterator[Patient]:
    HOST.clusters, CLOCK.speed = Patient(), SPEED
    yield HOST.clusters
    HOST.clusters, CLOCK.speed = Clusters(), 0.0


@pytest.fixture
def backend() -> EksBackend:
    made = EksBackend("us-west-2", "123456789012")
    made.clusters["c"] = SimpleNamespace(status="ACTIVE", version="1.36")
    made.extras["c"] = Extras()
    return made


def now(backend: EksBackend) -> Addon:
    """The add-on as a call finds it."""
    backend.later.catch_up(backend)
    return backend.describe_addon("c", "coredns")


def test_an_addon_that_does_not_do_well_is_degraded_after_a_while_and_recovers(
    backend: EksBackend, patient: Patient
) -> None:
    backend.create_addon("c", "coredns")
    assert now(backend).status == "CREATING"
    wait_for(lambda: now(backend).status == "DEGRADED")
    (issue,) = now(backend).health["issues"]
    assert (issue["code"], issue["message"]) == ("InsufficientNumberOfReplicas", "too few")
    patient.health = Health(ready=True)
    assert now(backend).status == "ACTIVE"
    assert now(backend).health["issues"] == []


def test_an_active_addon_is_degraded_only_when_it_does_not_do_well_for_long(
    backend: EksBackend, patient: Patient
) -> None:
    patient.health = Health(ready=True)
    backend.create_addon("c", "coredns")
    wait_for(lambda: now(backend).status == "ACTIVE")
    patient.health = UNWELL
    assert now(backend).status == "ACTIVE"
    wait_for(lambda: now(backend).status == "DEGRADED")


def test_an_update_ends_when_the_cluster_has_looked_at_it(
    backend: EksBackend, patient: Patient
) -> None:
    patient.health = Health(ready=True)
    backend.create_addon("c", "coredns")
    before = wait_for(lambda: now(backend) if now(backend).status == "ACTIVE" else None)
    assert before is not None
    patient.health = Health(ready=True, revision=before.revision)
    update = backend.update_addon("c", "coredns", configuration_values="replicaCount: 3")
    wait_for(lambda: backend.later.due == [] or CLOCK.reached(backend.later.due[0][0]))
    assert now(backend).status == "UPDATING"
    patient.health = Health(ready=True, revision=now(backend).revision)
    wait_for(lambda: now(backend).status == "ACTIVE")
    assert update.status == "Successful"


def test_an_update_that_does_not_do_well_has_failed(backend: EksBackend, patient: Patient) -> None:
    patient.health = Health(ready=True)
    backend.create_addon("c", "coredns")
    wait_for(lambda: now(backend).status == "ACTIVE")
    patient.health = UNWELL
    update = backend.update_addon("c", "coredns")
    wait_for(lambda: now(backend).status == "DEGRADED")
    assert update.status == "Failed"
    assert update.errors[0]["errorCode"] == "InsufficientNumberOfReplicas"


def test_what_is_under_way_survives_a_restart_of_the_sandbox(
    backend: EksBackend, patient: Patient
) -> None:
    patient.health = Health(ready=True)
    backend.create_addon("c", "coredns")
    later, extras = pickle.loads(pickle.dumps((backend.later, backend.extras)))
    backend.later, backend.extras = later, extras
    wait_for(lambda: now(backend).status == "ACTIVE")


def test_without_control_planes_an_addon_is_ready_at_once(backend: EksBackend) -> None:
    backend.create_addon("c", "coredns", configuration_values='{"replicaCount": 2}')
    assert now(backend).status == "ACTIVE"
