"""Who can mount an EFS file system of the simulated account."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from jarkkit.sandbox import daemon_client
from jarkkit.sandbox.account.efs.mounts import MOUNT, ROOT, WRITE, NfsClient, decide
from tests.support.account import error_code_of, make_client
from tests.support.file_systems import file_system_policy, put_policy

ARN = "arn:aws:elasticfilesystem:us-west-2:123456789012:file-system/fs-1"
ROLE = "arn:aws:iam::123456789012:role/demo-us-west-2-aws-efs-csi-driver-mount"
POINT = "arn:aws:elasticfilesystem:us-west-2:123456789012:access-point/fsap-1"
POLICY = file_system_policy(ARN, ROLE)
DRIVER = NfsClient(principal=ROLE, access_point=POINT, encrypted=True)
RAW = NfsClient()
ADMIN = {"Statement": [{"Effect": "Allow", "Action": "elasticfilesystem:*", "Resource": "*"}]}


def test_without_a_policy_every_client_has_full_access() -> None:
    assert {decide(None, ARN, RAW, action) for action in (MOUNT, WRITE, ROOT)} == {"allowed"}


def test_the_driver_mounts_through_an_access_point_but_never_as_root() -> None:
    assert decide(POLICY, ARN, DRIVER, MOUNT) == decide(POLICY, ARN, DRIVER, WRITE) == "allowed"
    assert decide(POLICY, ARN, DRIVER, ROOT) == "implicitDeny"


@pytest.mark.parametrize(
    ("client", "decision"),
    [
        (RAW, "explicitDeny"),
        (replace(RAW, encrypted=True), "implicitDeny"),
        (replace(DRIVER, principal=""), "implicitDeny"),
        (replace(DRIVER, access_point=""), "implicitDeny"),
        (replace(DRIVER, encrypted=False), "explicitDeny"),
        (replace(DRIVER, principal=ROLE.replace("mount", "other")), "implicitDeny"),
    ],
)
def test_every_other_client_is_refused(client: NfsClient, decision: str) -> None:
    assert decide(POLICY, ARN, client, MOUNT) == decision


def test_an_identity_policy_counts_beside_the_file_systems_own() -> None:
    admin = NfsClient(principal=f"{ROLE}-admin", encrypted=True, policies=(ADMIN,))
    assert decide(POLICY, ARN, admin, ROOT) == "allowed"
    assert decide(POLICY, ARN, replace(admin, encrypted=False), ROOT) == "explicitDeny"


@pytest.mark.parametrize(
    ("principal", "applies"),
    [
        ("*", True),
        ({"AWS": "123456789012"}, True),
        ({"AWS": ["arn:aws:iam::123456789012:root"]}, True),
        ({"AWS": "arn:aws:iam::210987654321:root"}, False),
        ({"Service": "backup.amazonaws.com"}, False),
    ],
)
def test_a_statement_applies_to_the_principals_that_it_names(principal: Any, applies: bool) -> None:
    allow = {"Effect": "Allow", "Principal": principal, "Action": MOUNT, "Resource": ARN}
    assert (decide({"Statement": allow}, ARN, DRIVER, MOUNT) == "allowed") is applies


class TestApi:
    @pytest.fixture
    def efs(self, sandbox: daemon_client.RunningSandbox) -> Any:
        return make_client(sandbox, "efs", "eu-west-1")

    @pytest.fixture
    def system(self, efs: Any, request: pytest.FixtureRequest) -> str:
        return str(efs.create_file_system(CreationToken=request.node.name[:64])["FileSystemId"])

    def test_a_policy_is_stored_read_and_deleted(self, efs: Any, system: str) -> None:
        read: Callable[..., Any] = efs.describe_file_system_policy
        assert error_code_of(read, FileSystemId=system) == "PolicyNotFound"
        put_policy(efs, system, ROLE)
        assert len(json.loads(read(FileSystemId=system)["Policy"])["Statement"]) == 2
        efs.delete_file_system_policy(FileSystemId=system)
        assert error_code_of(read, FileSystemId=system) == "PolicyNotFound"

    @pytest.mark.parametrize("policy", ["{", "{}", json.dumps(ADMIN)])
    def test_a_malformed_policy_is_rejected(self, efs: Any, system: str, policy: str) -> None:
        put = {"FileSystemId": system, "Policy": policy}
        assert error_code_of(efs.put_file_system_policy, **put) == "InvalidPolicyException"

    def test_a_policy_needs_a_file_system(self, efs: Any) -> None:
        for call in (efs.delete_file_system_policy, efs.describe_file_system_policy):
            assert error_code_of(call, FileSystemId="fs-00000000") == "FileSystemNotFound"
