"""What the sandbox's account rejects before it does anything, in the words of each service."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import re
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from jarkkit.sandbox import daemon_client
from tests.support.api_requests import (
    SERVICES,
    ApiRequest,
    api_request,
    mistakes,
    service_model,
    valid_input,
    without_required,
)

TRUST = '{"Version": "2012-10-17", "Statement": []}'
GROUP = {"GroupName": "a", "Description": "a", "VpcId": "vpc-1"}
NODE_GROUP = {"clusterName": "a", "subnets": ["subnet-1"], "nodeRole": "arn:aws:iam::1:role/a"}


class Response(NamedTuple):
    status: int
    code: str
    message: str


def sent(sandbox: daemon_client.RunningSandbox, request: ApiRequest) -> Response:
    """Send a request; return the response, with the error in any protocol."""
    address = sandbox.endpoint.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request(request.method, request.path, request.body, request.headers)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    if answer.status < 400:
        return Response(answer.status, "", "")
    if body.startswith("<"):
        found = [re.search(f"<{name}>(.*?)</{name}>", body, re.S) for name in ("Code", "Message")]
        return Response(answer.status, *(match[1] if match else "" for match in found))
    error = json.loads(body or "{}")
    return Response(answer.status, str(error.get("__type", "")), str(error.get("message", "")))


def rejection(sandbox: Any, service: str, operation: str, **parameters: Any) -> Response:
    return sent(sandbox, api_request(service, operation, parameters))


class TestModels:
    def test_a_role_name_that_is_too_long(self, sandbox: Any) -> None:
        found = rejection(
            sandbox, "iam", "CreateRole", RoleName="a" * 65, AssumeRolePolicyDocument=TRUST
        )
        message = (
            f"1 validation error detected: Value '{'a' * 65}' at 'roleName' failed to satisfy "
            "constraint: Member must have length less than or equal to 64"
        )
        assert found == (400, "ValidationError", message)

    def test_a_role_name_with_other_characters(self, sandbox: Any) -> None:
        found = rejection(sandbox, "iam", "GetRole", RoleName="a/b")
        assert found.code == "ValidationError"
        assert found.message.startswith("The specified value for roleName is invalid. It must")

    @pytest.mark.parametrize(
        ("service", "operation", "parameters", "code", "message"),
        [
            ("eks", "ListClusters", {"maxResults": 101}, "InvalidParameterException",
             "Value '101' at 'maxResults' failed to satisfy constraint: Member must have value "
             "less than or equal to 100"),
            ("eks", "CreateNodegroup", {**NODE_GROUP, "nodegroupName": "a", "amiType": "AL9"},
             "InvalidParameterException", "at 'amiType' failed to satisfy constraint: Member must "
             "satisfy enum value set: [AL2_x86_64,"),
            ("logs", "CreateLogGroup", {"logGroupName": "a:b"}, "InvalidParameterException",
             r"regular expression pattern: [\.\-_/#A-Za-z0-9]+"),
            ("efs", "DeleteFileSystem", {"FileSystemId": "fake-id"}, "ValidationException",
             "Value 'fake-id' at 'fileSystemId' failed to satisfy constraint"),
            ("efs", "UntagResource", {"ResourceId": "fs-0123abcd", "TagKeys": ["aws:a"]},
             "ValidationException", "Value '[aws:a]' at 'tagKeys' failed to satisfy constraint: "
             "Member must satisfy constraint: [Member must have length less than or equal to 128, "
             "Member must have length greater than or equal to 1, Member must satisfy"),
            ("kms", "CreateAlias", {"AliasName": "alias/a"}, "ValidationException",
             "Value null at 'targetKeyId' failed to satisfy constraint: Member must not be null"),
            ("sqs", "CreateQueue", {}, "MissingParameter",
             "The request must contain the parameter QueueName."),
            ("elbv2", "CreateLoadBalancer", {"Name": "a", "Type": "fast"}, "ValidationError",
             "Value 'fast' at 'type' failed to satisfy constraint: Member must satisfy enum value "
             "set: [application, network, gateway]"),
            ("ec2", "CreateVpc", {"CidrBlock": "10.0.0.0/16", "InstanceTenancy": "shared"},
             "InvalidParameterValue", "Value (shared) for parameter instanceTenancy is invalid."),
            ("ec2", "TerminateInstances", {}, "MissingParameter",
             "The request must contain the parameter InstanceId"),
            ("ec2", "DescribeVpcs", {"MaxResults": 4}, "InvalidParameterValue",
             "Value (4) for parameter maxResults is invalid. Expecting a value greater than or "
             "equal to 5."),
        ],
    )  # fmt: skip
    def test_each_service_has_its_code_and_words(
        self,
        sandbox: Any,
        service: str,
        operation: str,
        parameters: dict[str, Any],
        code: str,
        message: str,
    ) -> None:
        found = rejection(sandbox, service, operation, **parameters)
        assert (found.status, found.code) == (400, code)
        assert message in found.message

    def test_all_violations_are_reported_together(self, sandbox: Any) -> None:
        found = rejection(sandbox, "logs", "CreateLogGroup", logGroupName="?" * 513)
        assert found.message.startswith("2 validation errors detected: ")
        assert "; Value" in found.message


class TestRequests:
    """Requests that no SDK sends."""

    @pytest.mark.parametrize(
        ("service", "operation", "code"),
        [
            ("ec2", "DescribeVpcs", "UnknownParameter"),
            ("iam", "ListRoles", "ValidationError"),
            ("kms", "ListKeys", "ValidationException"),
            ("eks", "CreateNodegroup", "InvalidParameterException"),
        ],
    )
    def test_an_unknown_field_is_rejected(
        self, sandbox: Any, service: str, operation: str, code: str
    ) -> None:
        request = api_request(service, operation, valid_input(service, operation))
        if request.body.startswith(b"{"):
            body = json.dumps({**json.loads(request.body), "bogus": 1}).encode()
        else:
            body = request.body + b"&bogus=1"
        found = sent(sandbox, ApiRequest(request.method, request.path, request.headers, body))
        assert found == (400, code, "The parameter bogus is not recognized")

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b'{"Limit": "many"}', "STRING_VALUE can not be converted to an Integer"),
            (b'{"Marker": 1}', "NUMBER_VALUE can not be converted to a String"),
            (b'{"Marker": []}', "Start of list found where not expected"),
            (b"[]", "Start of structure expected"),
            (b"{", "Could not parse the request body as JSON"),
            (b'{"Limit": 1e400}', "NUMBER_VALUE can not be converted to an Integer"),
            (b'{"Limit": NaN}', "NUMBER_VALUE can not be converted to an Integer"),
        ],
    )
    def test_a_wrong_type_is_rejected(self, sandbox: Any, body: bytes, message: str) -> None:
        request = api_request("kms", "ListKeys", {})
        found = sent(sandbox, ApiRequest("POST", "/", request.headers, body))
        assert found == (400, "SerializationException", message)

    def test_an_unknown_operation_is_rejected(self, sandbox: Any) -> None:
        request = api_request("iam", "ListRoles", {})
        body = request.body.replace(b"ListRoles", b"ListRules")
        found = sent(sandbox, ApiRequest("POST", "/", request.headers, body))
        assert found.code == "InvalidAction"
        headers = api_request("kms", "ListKeys", {}).headers
        headers["X-Amz-Target"] = "TrentService.ListLocks"
        assert sent(sandbox, ApiRequest("POST", "/", headers, b"{}")).code == (
            "UnknownOperationException"
        )

    @pytest.mark.parametrize("name", ["a." * 5000 + "b", "Tags.member." + "9" * 5000 + ".Key"])
    def test_a_name_without_end_is_rejected(self, sandbox: Any, name: str) -> None:
        request = api_request("iam", "CreateUser", {"UserName": "a"})
        body = request.body + f"&{name}=1".encode()
        found = sent(sandbox, ApiRequest("POST", "/", request.headers, body))
        assert (found.status, found.code) == (400, "ValidationError")

    def test_a_form_that_is_not_text_is_rejected(self, sandbox: Any) -> None:
        headers = api_request("iam", "ListRoles", {}).headers
        found = sent(sandbox, ApiRequest("POST", "/", headers, b"Action=ListRoles&\xff=1"))
        assert found.status == 400


class TestRules:
    """Rules that no model has."""

    @pytest.mark.parametrize(
        ("name", "description", "message"),
        [
            ("sg-1", "a", "Group names may not be in the format sg-*."),
            ("a" * 256, "a", "Valid names are strings less than 256 characters"),
            ("a", "für alle", "Valid descriptions are strings less than 256 characters"),
        ],
    )
    def test_the_text_of_a_security_group(
        self, sandbox: Any, name: str, description: str, message: str
    ) -> None:
        group = {**GROUP, "GroupName": name, "Description": description}
        found = rejection(sandbox, "ec2", "CreateSecurityGroup", **group)
        assert found.code == "InvalidParameterValue"
        assert message in found.message

    def test_the_description_of_a_security_groups_rule(self, sandbox: Any) -> None:
        source = {"CidrIp": "10.0.0.0/8", "Description": "a" * 256}
        rule = {"IpProtocol": "-1", "IpRanges": [source]}
        found = rejection(
            sandbox, "ec2", "AuthorizeSecurityGroupIngress", GroupId="sg-1", IpPermissions=[rule]
        )
        assert "Invalid rule description" in found.message

    @pytest.mark.parametrize("block", ["10.0.0.0", "10.0.0.0/33", "10.0.0/16", "::/64", ""])
    def test_the_form_of_a_cidr_block(self, sandbox: Any, block: str) -> None:
        found = rejection(sandbox, "ec2", "CreateSubnet", VpcId="vpc-1", CidrBlock=block)
        assert found.message == (
            f"Value ({block}) for parameter cidrBlock is invalid. This is not a valid CIDR block."
        )

    def test_the_blocks_of_a_prefix_list_have_either_form(self, sandbox: Any) -> None:
        given = {"PrefixListName": "a", "MaxEntries": 1, "AddressFamily": "IPv6"}
        for block, is_valid in (("2001:db8::/32", True), ("10.0.0.0/8", True), ("10.0/8", False)):
            found = rejection(
                sandbox, "ec2", "CreateManagedPrefixList", **given, Entries=[{"Cidr": block}]
            )
            assert ("is not a valid CIDR block" in found.message) != is_valid

    def test_the_page_size_of_instances(self, sandbox: Any) -> None:
        found = rejection(sandbox, "ec2", "DescribeInstances", MaxResults=3)
        assert found.message == (
            "Value ( 3 ) for parameter maxResults is invalid. Expecting a value greater than 5."
        )

    @pytest.mark.parametrize("name", ["a/b", "a b", ".a"])
    def test_the_name_of_a_cluster(self, sandbox: Any, name: str) -> None:
        found = rejection(sandbox, "eks", "ListNodegroups", clusterName=name)
        assert found.code == "InvalidParameterException"
        assert found.message.startswith("The parameter clusterName contains invalid characters.")

    def test_the_name_of_a_node_group(self, sandbox: Any) -> None:
        long = rejection(sandbox, "eks", "CreateNodegroup", **NODE_GROUP, nodegroupName="a" * 64)
        assert long.message == "nodeGroupName can't be longer than 63 characters!"
        bad = rejection(sandbox, "eks", "CreateNodegroup", **NODE_GROUP, nodegroupName="a.b")
        assert "The nodegroupName parameter contains invalid characters" in bad.message

    @pytest.mark.parametrize(
        "labels", [{"-a": "b"}, {"a": "-b"}, {"UP.example/a": "b"}, {"a/": "b"}]
    )
    def test_the_labels_of_a_node_group(self, sandbox: Any, labels: dict[str, str]) -> None:
        found = rejection(
            sandbox, "eks", "CreateNodegroup", **NODE_GROUP, nodegroupName="a", labels=labels
        )
        assert found.code == "InvalidParameterException"
        assert "field must consist of alphanumeric characters" in found.message

    @pytest.mark.parametrize(
        ("operation", "parameters", "message"),
        [
            ("CreatePolicy", {"PolicyName": "a", "PolicyDocument": "x" * 6145},
             "Cannot exceed quota for PolicySize: 6144"),
            ("CreateRole", {"RoleName": "a", "AssumeRolePolicyDocument": "x" * 2049},
             "Cannot exceed quota for ACLSizePerRole: 2048"),
            ("PutRolePolicy", {"RoleName": "r", "PolicyName": "a", "PolicyDocument": "x" * 10241},
             "Maximum policy size of 10240 bytes exceeded for role r"),
        ],
    )  # fmt: skip
    def test_the_size_of_a_policy_without_whitespace(
        self, sandbox: Any, operation: str, parameters: dict[str, str], message: str
    ) -> None:
        assert rejection(sandbox, "iam", operation, **parameters) == (409, "LimitExceeded", message)
        spaced = {k: v.replace("x", " ", 2) for k, v in parameters.items()}
        assert rejection(sandbox, "iam", operation, **spaced).code != "LimitExceeded"

    @pytest.mark.parametrize("name", ["a" * 81, "a.b", "a b"])
    def test_the_name_of_a_queue(self, sandbox: Any, name: str) -> None:
        found = rejection(sandbox, "sqs", "CreateQueue", QueueName=name)
        assert (found.status, found.code.rpartition("#")[2]) == (400, "InvalidParameterValue")


class TestTags:
    def test_keys_of_iam_may_not_differ_by_case_only(self, sandbox: Any) -> None:
        tags = [{"Key": "Team", "Value": "a"}, {"Key": "team", "Value": "b"}]
        found = rejection(
            sandbox, "iam", "CreateRole", RoleName="a", AssumeRolePolicyDocument=TRUST, Tags=tags
        )
        assert found == (
            400,
            "InvalidInput",
            "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
        )

    @pytest.mark.parametrize(
        ("tags", "code", "message"),
        [
            ({"aws:a": ""}, "InvalidParameterValue",
             "Value ( aws:a ) for parameter key is invalid. Tag keys starting with 'aws:' are "
             "reserved for internal use"),
            ({"a" * 129: ""}, "InvalidParameterValue", "maximum length of 128 characters"),
            ({"a": "b" * 257}, "InvalidParameterValue", "maximum length of 256 characters"),
            ({f"k{i}": "" for i in range(51)}, "TagLimitExceeded", "has been reached"),
        ],
    )  # fmt: skip
    def test_tags_of_ec2(self, sandbox: Any, tags: dict[str, str], code: str, message: str) -> None:
        given = {"ResourceType": "vpc", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
        found = rejection(
            sandbox, "ec2", "CreateVpc", CidrBlock="10.0.0.0/16", TagSpecifications=[given]
        )
        assert found.code == code
        assert message in found.message

    @pytest.mark.parametrize(
        ("service", "operation", "parameters", "code"),
        [
            ("eks", "TagResource", {"resourceArn": "arn:aws:eks:a:1:cluster/a"},
             "InvalidParameterException"),
            ("sqs", "CreateQueue", {"QueueName": "a"}, "InvalidParameterValue"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize(
        "tags", [{"aws:a": ""}, {"a" * 129: ""}, {"a": "b" * 257}, {"a!": ""}, {"a": "b\n"}]
    )
    def test_tags_of_services_without_a_pattern(
        self, sandbox: Any, service: str, operation: str, parameters: Any, code: str, tags: Any
    ) -> None:
        assert rejection(sandbox, service, operation, **parameters, tags=tags).code == code

    def test_tags_of_a_bucket(self, sandbox: Any) -> None:
        tags = {"TagSet": [{"Key": "aws:a", "Value": ""}]}
        found = rejection(sandbox, "s3", "PutBucketTagging", Bucket="abc", Tagging=tags)
        assert found == (400, "InvalidTag", "System tags cannot be added/updated by requester")

    def test_tags_to_remove_are_not_checked(self, sandbox: Any) -> None:
        given = {"Resources": ["vpc-0123abcd"], "Tags": [{"Key": "aws:a"}]}
        assert "reserved" not in rejection(sandbox, "ec2", "DeleteTags", **given).message


def requests_of(service: str, count: int, *, valid: bool) -> list[ApiRequest]:
    """Return requests of operations spread over an API: valid by the model, or with a mistake."""
    chance = random.Random(service)
    operations = [o for o in service_model(service).operation_names if o not in _SLOW]
    chance.shuffle(operations)
    inputs = (
        (operation, parameters)
        for operation in operations
        for parameters in (
            [valid_input(service, operation)]
            if valid
            else [
                mistake.parameters
                for mistake in (
                    *mistakes(service, operation, 2),
                    *without_required(service, operation),
                )
            ][:2]
        )
    )
    return [api_request(service, *pair) for pair in itertools.islice(inputs, count)]


# A long poll waits as it should.
_SLOW = ("ReceiveMessage",)


@pytest.mark.parametrize("service", SERVICES)
def test_generated_mistakes_are_rejected_at_once(sandbox: Any, service: str) -> None:
    for request in requests_of(service, 12, valid=False):
        began = time.monotonic()
        found = sent(sandbox, request)
        assert found.status in (400, 409), request
        assert found.code not in ("", "SandboxGap"), request
        assert time.monotonic() - began < 60


@pytest.fixture(scope="module")
def own_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An account of its own: these calls create whatever they name."""
    home = tmp_path_factory.mktemp("generated")
    yield daemon_client.start(home, account_only=True)
    daemon_client.stop(home)


@pytest.mark.parametrize("service", SERVICES)
def test_no_generated_call_is_an_internal_error(own_sandbox: Any, service: str) -> None:
    for request in requests_of(service, 12, valid=True):
        began = time.monotonic()
        assert sent(own_sandbox, request).status < 500, request
        assert time.monotonic() - began < 60
