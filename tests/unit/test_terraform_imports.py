"""Terraform imports planned resources that the account already has."""

from __future__ import annotations

import pytest

from jarkkit.decisions.terraform_imports import (
    ResourceImport,
    import_blocks,
    match_imports,
    resource_key,
)
from jarkkit.decisions.terraform_messages import area_of
from jarkkit.model.records import Action, OwnedResource, ResourceChange


def change(kind: str, name: str = "", action: Action = "create") -> ResourceChange:
    address = f"{kind}.{name or 'this'}"
    return ResourceChange(address=address, type=kind, area=area_of(kind), action=action, name=name)


def owned(kind: str, name: str, import_id: str) -> OwnedResource:
    return OwnedResource(terraform_type=kind, name=name, import_id=import_id)


def test_a_planned_resource_that_exists_is_imported() -> None:
    planned = [change("aws_vpc", "demo"), change("aws_subnet", "demo-a")]
    found = [owned("aws_vpc", "demo", "vpc-1"), owned("aws_eip", "demo", "eip-1")]
    assert match_imports(planned, found) == (ResourceImport("aws_vpc.demo", "vpc-1"),)


def test_two_planned_resources_of_one_name_are_not_imported() -> None:
    twins = [change("aws_vpc", "demo"), change("aws_vpc", "demo").model_copy(
        update={"address": "aws_vpc.twin"})]  # fmt: skip
    assert match_imports(twins, [owned("aws_vpc", "demo", "vpc-1")]) == ()


def test_one_of_two_matching_resources_is_imported() -> None:
    found = [owned("aws_vpc", "demo", "vpc-1"), owned("aws_vpc", "demo", "vpc-2")]
    assert match_imports([change("aws_vpc", "demo")], found) == (
        ResourceImport("aws_vpc.demo", "vpc-1"),
    )


def test_only_creations_become_imports() -> None:
    found = [owned("aws_vpc", "demo", "vpc-1")]
    assert match_imports([change("aws_vpc", "demo", action="update")], found) == ()


@pytest.mark.parametrize(
    ("kind", "attributes", "key"),
    [
        ("aws_vpc", {"tags_all": {"Name": "demo"}}, "demo"),
        ("aws_iam_role", {"name": "r", "tags_all": {"Name": "other"}}, "r"),
        ("aws_eks_cluster", {"name": "demo"}, "demo"),
        ("aws_route", {"route_table_id": "rtb-1", "destination_cidr_block": "0/0"}, "rtb-1_0/0"),
        ("aws_route", {"destination_cidr_block": "0/0"}, ""),
        ("aws_eks_pod_identity_association", {"namespace": "a", "service_account": "b"}, "a/b"),
        ("aws_iam_role_policy_attachment", {"role": "r"}, ""),
    ],
)
def test_resource_keys(kind: str, attributes: dict[str, object], key: str) -> None:
    assert resource_key(kind, attributes) == key


def test_import_blocks() -> None:
    assert import_blocks([]) is None
    assert import_blocks([ResourceImport("a.b", "1")]) == {"import": [{"to": "a.b", "id": "1"}]}
