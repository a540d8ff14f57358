"""Objects that Kubernetes cannot change into what the settings describe now."""

from __future__ import annotations

from typing import Any

import pytest

from jarkkit.decisions.addons.immutable_objects import fixed_differences, replacement_note
from jarkkit.model.errors import JarkkitError


def volume(handle: str, policy: str = "Retain") -> dict[str, Any]:
    return {
        "kind": "PersistentVolume",
        "metadata": {"name": "jupyterhub-home"},
        "spec": {
            "csi": {"driver": "efs.csi.aws.com", "volumeHandle": handle},
            "persistentVolumeReclaimPolicy": policy,
        },
    }


def test_another_source_is_a_difference_and_defaults_are_none() -> None:
    assert fixed_differences(volume("fs-1::a"), volume("fs-2::b")) == ("spec.csi.volumeHandle",)
    assert not fixed_differences(volume("fs-1::a"), volume("fs-1::a"))
    desired = {"kind": "StorageClass", "metadata": {"name": "x"}, "provisioner": "a"}
    assert not fixed_differences({**desired, "reclaimPolicy": "Delete"}, desired)
    other = {**desired, "parameters": {"fileSystemId": "fs-2"}}
    assert fixed_differences({**desired, "parameters": {"fileSystemId": "fs-1"}}, other) == (
        "parameters",
    )


def test_other_kinds_are_never_made_again() -> None:
    one, two = ({"kind": "Deployment", "metadata": {}, "spec": {"volumeName": n}} for n in "ab")
    assert not fixed_differences(one, two)


def test_the_note_says_what_became_of_the_old_one() -> None:
    note = replacement_note(volume("fs-1::a"), volume("fs-2::b"))
    assert "fs-1::a" in note
    assert "fs-2::b" in note
    assert "deleted no files" in note


@pytest.mark.parametrize("policy", ["Delete", "Recycle"])
def test_a_claim_whose_volume_would_lose_its_data_is_kept(policy: str) -> None:
    one, two = (
        {
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "mlflow", "namespace": "mlflow"},
            "spec": {"storageClassName": name, "volumeName": "pvc-1"},
        }
        for name in ("gp3", "io2")
    )
    bound = {**volume("vol-1", policy), "metadata": {"name": "pvc-1"}}
    with pytest.raises(JarkkitError, match="JK-ADDON-FAILED") as caught:
        replacement_note(one, two, bound)
    assert "pvc-1" in caught.value.message
    assert "kubectl delete pvc mlflow -n mlflow" in caught.value.fix
    assert "is made again" in replacement_note(one, two, volume("fs-1::a"))
    assert "is made again" in replacement_note(one, two)


def test_a_volume_that_would_delete_its_data_is_kept() -> None:
    with pytest.raises(JarkkitError, match="JK-ADDON-FAILED") as caught:
        replacement_note(volume("fs-1::a", "Delete"), volume("fs-2::b"))
    assert "kubectl delete pv" in caught.value.fix
