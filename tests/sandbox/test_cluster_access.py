"""A second operator gets access to a cluster, and no access entry is removed."""

from __future__ import annotations

from jarkkit.ports.aws import Account
from jarkkit.sandbox import daemon_client
from tests.support.account import assumed_role, cluster, make_client, sandbox_environment


def test_a_second_operator_becomes_an_administrator_once(
    sandbox: daemon_client.RunningSandbox,
) -> None:
    eks = cluster(lambda service: make_client(sandbox, service), "shared-by-two")
    before = eks.list_access_entries(clusterName="shared-by-two")["accessEntries"]
    role, credentials = assumed_role(sandbox, "second-operator", path="/team/")
    account = Account("eu-west-1", {**sandbox_environment(sandbox), **credentials})
    caller = account.caller()
    assert account.cluster_access.ensure("shared-by-two", caller) == role
    assert account.cluster_access.ensure("shared-by-two", caller) == ""
    entries = eks.list_access_entries(clusterName="shared-by-two")["accessEntries"]
    assert set(entries) == {*before, role}
    policies = eks.list_associated_access_policies(clusterName="shared-by-two", principalArn=role)[
        "associatedAccessPolicies"
    ]
    assert [item["policyArn"].rpartition("/")[2] for item in policies] == [
        "AmazonEKSClusterAdminPolicy"
    ]


def test_an_interrupted_call_is_completed(sandbox: daemon_client.RunningSandbox) -> None:
    eks = cluster(lambda service: make_client(sandbox, service), "half-shared")
    role, credentials = assumed_role(sandbox, "interrupted-operator")
    account = Account("eu-west-1", {**sandbox_environment(sandbox), **credentials})
    entry = {"clusterName": "half-shared", "principalArn": role}
    account.cluster_access.ensure("half-shared", account.caller())
    (policy,) = eks.list_associated_access_policies(**entry)["associatedAccessPolicies"]
    eks.disassociate_access_policy(**entry, policyArn=policy["policyArn"])
    assert account.cluster_access.ensure("half-shared", account.caller()) == role
    assert len(eks.list_associated_access_policies(**entry)["associatedAccessPolicies"]) == 1


def test_an_entry_of_others_is_not_changed(sandbox: daemon_client.RunningSandbox) -> None:
    eks = cluster(lambda service: make_client(sandbox, service), "restricted")
    role, credentials = assumed_role(sandbox, "viewer")
    eks.create_access_entry(clusterName="restricted", principalArn=role)
    account = Account("eu-west-1", {**sandbox_environment(sandbox), **credentials})
    assert account.cluster_access.ensure("restricted", account.caller()) == ""
    found = eks.list_associated_access_policies(clusterName="restricted", principalArn=role)
    assert found["associatedAccessPolicies"] == []
