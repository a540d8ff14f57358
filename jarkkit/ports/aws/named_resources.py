"""What settings name and another owner made: a policy, a certificate, a secret."""

from __future__ import annotations

from typing import Any

from jarkkit.model.errors import ObjectNotFound
from jarkkit.model.records import Certificate
from jarkkit.ports.aws.session import AwsSession, translate_errors


class NamedResources:
    """Resources of the account and Region by ARN. The constructor makes no call.

    Every method raises JK-AWS-….
    """

    def __init__(self, session: AwsSession) -> None:
        self._session = session

    def has_policy(self, arn: str) -> bool:
        """Return True if the IAM policy exists: one of the account, or one of AWS."""
        try:
            with translate_errors("iam GetPolicy"):
                self._session.client("iam").get_policy(PolicyArn=arn)
        except ObjectNotFound:
            return False
        return True

    def certificate(self, arn: str) -> Certificate | None:
        """Return the certificate; None if it does not exist."""
        try:
            with translate_errors("acm DescribeCertificate"):
                acm = self._session.client("acm")
                found: dict[str, Any] = acm.describe_certificate(CertificateArn=arn)["Certificate"]
        except ObjectNotFound:
            return None
        names = (found.get("DomainName", ""), *found.get("SubjectAlternativeNames", ()))
        return Certificate(
            status=found["Status"], names=tuple(dict.fromkeys(name for name in names if name))
        )

    def has_secret(self, arn: str) -> bool:
        """Return True if the secret exists and is not about to be deleted.

        Its value, which may need the permission for a KMS key, is not read.
        """
        try:
            with translate_errors("secretsmanager DescribeSecret"):
                found = self._session.client("secretsmanager").describe_secret(SecretId=arn)
        except ObjectNotFound:
            return False
        return not found.get("DeletedDate")
