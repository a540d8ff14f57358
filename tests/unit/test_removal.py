"""Removers of resources: what an answer of AWS means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jarkkit.decisions import ownership
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import OwnedResource
from jarkkit.ports.aws import removal
from tests.support.fakes.session import FakeSession

ENDPOINT = OwnedResource(terraform_type="aws_vpc_endpoint", import_id="vpce-1")


def delete_endpoint(*unsuccessful: dict[str, Any]) -> bool:
    session = FakeSession(delete_vpc_endpoints={"Unsuccessful": list(unsuccessful)})
    return removal.delete(session, "demo", ENDPOINT)  # type: ignore[arg-type]


def failed(code: str) -> dict[str, Any]:
    return {"ResourceId": "vpce-1", "Error": {"Code": code, "Message": "Not allowed."}}


def test_an_endpoint_that_ec2_did_not_delete_is_an_error_with_its_reason() -> None:
    assert delete_endpoint()
    assert delete_endpoint(failed("InvalidVpcEndpointId.NotFound"))
    with pytest.raises(JarkkitError) as caught:
        delete_endpoint(failed("OperationNotPermitted"))
    assert "Not allowed." in caught.value.message + caught.value.evidence


def test_cleanup_deletes_every_kind_that_only_controllers_create() -> None:
    assert set(ownership._NEVER_TERRAFORMS) <= set(removal.ORDER)


class Service:
    """All services of an account: operations that answer, and those that fail with a code."""

    def __init__(self, failing: dict[str, str], **answers: dict[str, Any]) -> None:
        self.failing, self.answers = failing, answers
        self.called: list[str] = []

    def client(self, _service: str) -> Service:
        return self

    def can_paginate(self, _operation: str) -> bool:
        return False

    def __getattr__(self, operation: str) -> Callable[..., dict[str, Any]]:
        def call(**_: Any) -> dict[str, Any]:
            self.called.append(operation)
            if code := self.failing.get(operation):
                raise ClientError({"Error": {"Code": code, "Message": ""}}, operation)
            return self.answers.get(operation, {})

        call.__name__ = operation
        return call


CLUSTER_GROUP = {
    "GroupId": "sg-cluster",
    "Tags": [{"Key": "jarkkit:deployment", "Value": "demo"}],
    "IpPermissions": [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-1"}]}],
}
ANSWERS: dict[str, dict[str, Any]] = {
    "describe_cluster": {"cluster": {"name": "demo"}},
    "describe_security_groups": {"SecurityGroups": [CLUSTER_GROUP]},
    "list_attached_role_policies": {"AttachedPolicies": [{"PolicyArn": "arn"}]},
    "list_role_policies": {"PolicyNames": ["inline"]},
    "get_instance_profile": {"InstanceProfile": {"Roles": [{"RoleName": "node"}]}},
    "list_targets_by_rule": {"Targets": [{"Id": "1"}]},
}
STEPS = (
    ("aws_security_group", "revoke_security_group_ingress", "delete_security_group"),
    ("aws_iam_role", "detach_role_policy", "delete_role"),
    ("aws_iam_role", "delete_role_policy", "delete_role"),
    ("aws_iam_instance_profile", "remove_role_from_instance_profile", "delete_instance_profile"),
    ("aws_iam_instance_profile", "get_instance_profile", "delete_instance_profile"),
    ("aws_cloudwatch_event_rule", "remove_targets", "delete_rule"),
)


@pytest.mark.parametrize(("kind", "before", "last"), STEPS)
def test_only_the_last_call_can_mean_that_the_resource_is_gone(
    kind: str, before: str, last: str
) -> None:
    owned = OwnedResource(terraform_type=kind, import_id="sg-1", name="one")
    gone = {"security_group": "InvalidPermission.NotFound", "iam": "NoSuchEntity"}
    code = next((v for k, v in gone.items() if k in kind), "ResourceNotFoundException")
    service = Service({before: code, last: "DependencyViolation"}, **ANSWERS)
    assert not removal.delete(service, "demo", owned)  # type: ignore[arg-type]
    assert service.called[-1] == last
    service = Service({before: code}, **ANSWERS)
    assert removal.delete(service, "demo", owned)  # type: ignore[arg-type]
    assert {before, last} <= set(service.called)
    service = Service({last: "NoSuchEntity"}, **ANSWERS)
    assert removal.delete(service, "demo", owned)  # type: ignore[arg-type]
