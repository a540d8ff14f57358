"""What settings name by ARN, in the account: what preflight reads, and what AWS rejects."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jarkkit.model.records import Certificate
from jarkkit.ports.aws import Account
from tests.support.account import network, trust_policy
from tests.support.certificates import import_certificate

REGION = "eu-west-1"
ACCOUNT = "123456789012"
UNKNOWN = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/01234567-89ab-cdef-0123-456789abcdef"
Client = Callable[[str], Any]


def rejection(call: Callable[[], Any]) -> tuple[str, str]:
    """Return the code and the message of the error that the call must raise."""
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


class TestPermissionsBoundary:
    MISSING = f"arn:aws:iam::{ACCOUNT}:policy/no-such-boundary"
    REJECTION = ("NoSuchEntity", f"Scope ARN: {MISSING} does not exist or is not attachable.")

    def create(self, client: Client, name: str) -> str:
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
        made = client("iam").create_policy(PolicyName=name, PolicyDocument=document)
        return str(made["Policy"]["Arn"])

    def test_policies_of_the_account_and_of_aws_are_found(
        self, account: Account, client: Client
    ) -> None:
        found = account.named_resources
        assert found.has_policy(self.create(client, "found"))
        assert found.has_policy("arn:aws:iam::aws:policy/PowerUserAccess")
        assert not found.has_policy("arn:aws:iam::aws:policy/NoSuchPolicy")
        assert not found.has_policy(self.MISSING)

    def test_a_role_cannot_have_one_that_does_not_exist(self, client: Client) -> None:
        iam = client("iam")
        role = {
            "RoleName": "bounded",
            "AssumeRolePolicyDocument": trust_policy("ec2.amazonaws.com"),
        }
        rejected = rejection(lambda: iam.create_role(**role, PermissionsBoundary=self.MISSING))
        assert rejected == self.REJECTION
        assert rejection(lambda: iam.get_role(RoleName="bounded"))[0] == "NoSuchEntity"
        first, second = self.create(client, "first"), self.create(client, "second")
        iam.create_role(**role, PermissionsBoundary=first)

        def put(arn: str) -> None:
            iam.put_role_permissions_boundary(RoleName="bounded", PermissionsBoundary=arn)

        def boundary() -> str:
            role = iam.get_role(RoleName="bounded")["Role"]
            return str(role["PermissionsBoundary"]["PermissionsBoundaryArn"])

        assert rejection(lambda: put(self.MISSING)) == self.REJECTION
        assert boundary() == first
        put(second)
        assert boundary() == second


class TestCertificates:
    def listen(self, client: Client, name: str, arn: str) -> dict[str, Any]:
        elb = client("elbv2")
        balancer = elb.create_load_balancer(Name=name, Subnets=network(client("ec2")))
        made: dict[str, Any] = elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
            Protocol="HTTPS",
            Port=443,
            Certificates=[{"CertificateArn": arn}],
            DefaultActions=[
                {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
            ],
        )["Listeners"][0]
        return made

    def test_status_and_names_are_read(self, account: Account, client: Client) -> None:
        acm, find = client("acm"), account.named_resources.certificate
        names = ("example.com", "*.example.com")
        issued = find(import_certificate(acm, names))
        assert issued == Certificate(status="ISSUED", names=names)
        requested = acm.request_certificate(DomainName="hub.example.com")["CertificateArn"]
        pending = Certificate(status="PENDING_VALIDATION", names=("hub.example.com",))
        assert find(requested) == pending
        assert find(UNKNOWN) is None

    def test_a_listener_needs_one_that_exists(self, client: Client) -> None:
        arn = import_certificate(client("acm"), ["hub.example.com"])
        listener = self.listen(client, "https", arn)
        assert listener["Certificates"] == [{"CertificateArn": arn}]
        missing = ("CertificateNotFound", f"Certificate '{UNKNOWN}' not found")
        assert rejection(lambda: self.listen(client, "missing", UNKNOWN)) == missing
        more = {"ListenerArn": listener["ListenerArn"]}
        unknown = [{"CertificateArn": UNKNOWN}]
        add = client("elbv2").add_listener_certificates
        assert rejection(lambda: add(**more, Certificates=unknown)) == missing

    def test_a_listener_needs_one_that_is_issued(self, client: Client) -> None:
        requested = client("acm").request_certificate(DomainName="hub.example.com")
        arn = requested["CertificateArn"]
        code, message = rejection(lambda: self.listen(client, "pending", arn))
        assert code == "UnsupportedCertificate"
        assert message.startswith(f"The certificate '{arn}' must have a fully-qualified domain")


def test_a_secret_is_found_until_it_is_deleted(account: Account, client: Client) -> None:
    secrets = client("secretsmanager")
    arn = secrets.create_secret(Name="hub-login", SecretString="x")["ARN"]
    assert account.named_resources.has_secret(arn)
    secrets.delete_secret(SecretId=arn)  # after 30 days
    assert not account.named_resources.has_secret(arn)
    missing = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:none-AbCdEf"
    assert not account.named_resources.has_secret(missing)
