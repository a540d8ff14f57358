"""Errors of the AWS SDK, translated: code, class, and whether a retry may succeed."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    NoCredentialsError,
    UnauthorizedSSOTokenError,
)

from jarkkit.model.errors import (
    AccessDenied,
    ApiCallError,
    CapacityUnavailable,
    CredentialsExpired,
    CredentialsMissing,
    JarkkitError,
    ObjectInUse,
    ObjectNotFound,
    Throttled,
    Unreachable,
)
from jarkkit.ports.aws.session import client_error_code, translate_errors


def translated(error: Exception) -> JarkkitError:
    with pytest.raises(JarkkitError) as caught, translate_errors("ec2 DescribeVpcs"):
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("aws", "kind", "code"),
    [
        ("UnauthorizedOperation", AccessDenied, "JK-AWS-DENIED"),
        ("AccessDeniedException", AccessDenied, "JK-AWS-DENIED"),
        ("ExpiredToken", CredentialsExpired, "JK-AWS-EXPIRED"),
        ("RequestLimitExceeded", Throttled, "JK-AWS-THROTTLED"),
        ("ResourceNotFoundException", ObjectNotFound, "JK-AWS-FAILED"),
        ("InvalidVpcID.NotFound", ObjectNotFound, "JK-AWS-FAILED"),
        ("NoSuchEntity", ObjectNotFound, "JK-AWS-FAILED"),
        ("DependencyViolation", ObjectInUse, "JK-AWS-FAILED"),
        ("NoSuchTagSet", ApiCallError, "JK-AWS-FAILED"),
        ("InternalError", ApiCallError, "JK-AWS-FAILED"),
    ],
)
def test_the_code_of_aws_decides(aws: str, kind: type[JarkkitError], code: str) -> None:
    error = translated(ClientError({"Error": {"Code": aws, "Message": "m"}}, "DescribeVpcs"))
    assert (type(error), error.code) == (kind, code)
    assert error.transient is (kind is Throttled)
    assert client_error_code(error) == aws


@pytest.mark.parametrize(("status", "transient"), [(400, False), (500, True), (503, True)])
def test_an_error_of_the_service_is_transient(status: int, transient: bool) -> None:
    response = {"Error": {"Code": "X"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error = translated(ClientError(response, "DescribeVpcs"))  # type: ignore[arg-type]
    assert (error.code, error.transient) == ("JK-AWS-FAILED", transient)


@pytest.mark.parametrize(
    ("aws", "kind", "code"),
    [
        ("InsufficientInstanceCapacity", CapacityUnavailable, "JK-AWS-CAPACITY"),
        ("InsufficientHostCapacity", CapacityUnavailable, "JK-AWS-CAPACITY"),
        ("InsufficientVolumeCapacity", ApiCallError, "JK-AWS-FAILED"),
    ],
)
def test_missing_capacity_is_not_transient(aws: str, kind: type[JarkkitError], code: str) -> None:
    response = {"Error": {"Code": aws}, "ResponseMetadata": {"HTTPStatusCode": 500}}
    error = translated(ClientError(response, "RunInstances"))  # type: ignore[arg-type]
    assert (type(error), error.code, error.transient) == (kind, code, False)


@pytest.mark.parametrize(
    ("sdk", "kind", "transient"),
    [
        (NoCredentialsError(), CredentialsMissing, False),
        (UnauthorizedSSOTokenError(), CredentialsExpired, False),
        (ConnectTimeoutError(endpoint_url="https://x"), Unreachable, True),
    ],
)
def test_the_exception_of_the_sdk_decides(
    sdk: Exception, kind: type[JarkkitError], transient: bool
) -> None:
    error = translated(sdk)
    assert (type(error), error.transient) == (kind, transient)
