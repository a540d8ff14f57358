"""Whose the cluster with the deployment's name is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jarkkit.decisions.ownership import is_own_cluster
from jarkkit.model.unknown import Unknown
from jarkkit.ports.aws.inventory.scan_context import ScanContext

OWN_TAG = {"jarkkit:deployment": "demo"}


@pytest.mark.parametrize(
    ("tags", "endpoint", "recorded", "own"),
    [
        (OWN_TAG, "https://x", "", True),
        ({}, "https://x", "https://x", True),
        ({}, "https://x", "https://y", False),
        ({}, "", "", False),
        ({"jarkkit:deployment": "another"}, "https://x", "", False),
    ],
)
def test_a_cluster_is_known_by_its_tag_or_its_endpoint(
    tags: dict[str, str], endpoint: str, recorded: str, own: bool
) -> None:
    assert is_own_cluster("demo", tags, endpoint, recorded) is own
    cluster = {"name": "demo", "tags": tags, "endpoint": endpoint}
    context = ScanContext.of(_session(cluster), "demo", recorded)
    assert context.owner.of_cluster is own  # the scan agrees


def test_a_throttled_call_is_made_twice() -> None:
    session = _session({"tags": OWN_TAG}, "ThrottlingException")
    context = ScanContext.of(session, "demo")
    assert (context.owner.of_cluster, isinstance(context.cluster, Unknown)) == (True, False)


def test_a_second_refusal_and_a_denial_are_kept() -> None:
    twice = _session({"tags": OWN_TAG}, "ThrottlingException", "ThrottlingException")
    denied = _session({"tags": OWN_TAG}, "AccessDeniedException")
    clusters = [ScanContext.of(session, "demo").cluster for session in (twice, denied)]
    codes = [cluster.reason.code for cluster in clusters if isinstance(cluster, Unknown)]
    assert codes == ["JK-AWS-THROTTLED", "JK-AWS-DENIED"]


def _session(cluster: dict[str, Any], *codes: str) -> Any:
    """Return a session whose DescribeCluster fails with these codes first, in turn."""
    failing = list(codes)

    def describe_cluster(name: str) -> dict[str, Any]:
        if failing:
            raise ClientError({"Error": {"Code": failing.pop(0), "Message": ""}}, "DescribeCluster")
        return {"cluster": cluster}

    return SimpleNamespace(client=lambda _: SimpleNamespace(describe_cluster=describe_cluster))
