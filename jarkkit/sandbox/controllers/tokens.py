"""Authenticates the bearer tokens of `aws eks get-token` as aws-iam-authenticator does.

A token is a presigned STS GetCallerIdentity request whose signature covers the cluster's name in
the header x-k8s-aws-id: https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import time
from calendar import timegm
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

_PREFIX = "k8s-aws-v1."
_HEADER = "x-k8s-aws-id"
_VALID_SECONDS = 15 * 60
_AHEAD_SECONDS = 5 * 60
_HOSTS = re.compile(r"(127\.0\.0\.1|localhost|sts(\.[a-z0-9-]+)?\.amazonaws\.com(\.cn)?)(:\d+)?")


class TokenError(Exception):
    """The token is not valid for this cluster; the text says why."""


@dataclass(frozen=True)
class SignedToken:
    """A parsed token whose signature is not verified yet."""

    url: str
    query: dict[str, str]

    @property
    def key_id(self) -> str:
        """The access key that signed the token."""
        return self._scope[0]

    @property
    def region(self) -> str:
        """The Region of the signature."""
        return self._scope[2]

    @property
    def _scope(self) -> list[str]:
        return self.query["X-Amz-Credential"].split("/")


def parse_token(token: str, now: float) -> SignedToken:
    """Parse a token and check its dates. Raises TokenError."""
    if not token.startswith(_PREFIX):
        raise TokenError("not a token of aws eks get-token")
    try:
        rest = token.removeprefix(_PREFIX)
        url = base64.urlsafe_b64decode(rest + "=" * (-len(rest) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise TokenError("not base64") from None
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if not _HOSTS.fullmatch(parts.netloc) or parts.path.strip("/"):
        raise TokenError(f"not a request to STS: {parts.netloc}{parts.path}")
    if query.get("Action") != "GetCallerIdentity":
        raise TokenError("not a GetCallerIdentity request")
    if _HEADER not in query.get("X-Amz-SignedHeaders", "").split(";"):
        raise TokenError("the cluster's name is not signed")
    signed = SignedToken(url, query)
    if len(query.get("X-Amz-Credential", "").split("/")) != 5:
        raise TokenError("no credential scope")
    _check_time(query, now)
    return signed


def _check_time(query: dict[str, str], now: float) -> None:
    try:
        made = timegm(time.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))
        expires = int(query.get("X-Amz-Expires", "60"))
    except (KeyError, ValueError):
        raise TokenError("no date") from None
    if not 0 < expires <= _VALID_SECONDS or now > made + _VALID_SECONDS:
        raise TokenError("the token has expired")
    if made > now + _AHEAD_SECONDS:
        raise TokenError("the token is from the future")


def verify_signature(
    signed: SignedToken, secret: str, session_token: str | None, cluster: str
) -> None:
    """Verify that this key signed the token for this cluster. Raises TokenError."""
    if session_token and signed.query.get("X-Amz-Security-Token") != session_token:
        raise TokenError("not the session's token")
    parts = urlsplit(signed.url)
    unsigned = {k: v for k, v in signed.query.items() if k != "X-Amz-Signature"}
    url = urlunsplit(parts._replace(query=urlencode(unsigned)))
    request = AWSRequest(method="GET", url=url, headers={_HEADER: cluster})
    request.context["timestamp"] = signed.query["X-Amz-Date"]
    signer = SigV4QueryAuth(Credentials(signed.key_id, secret), "sts", signed.region)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    expected = signer.signature(text, request)
    if not hmac.compare_digest(expected, signed.query.get("X-Amz-Signature", "")):
        raise TokenError("the signature is not valid for this cluster")


@dataclass(frozen=True)
class TokenIdentity:
    """The principal that signed the token, as GetCallerIdentity returns it."""

    arn: str
    account_id: str
    user_id: str
    key_id: str

    @property
    def session(self) -> str:
        """The session name of an assumed role, else empty."""
        return self.arn.rsplit("/", 1)[-1] if ":assumed-role/" in self.arn else ""

    def is_principal(self, principal_arn: str) -> bool:
        """Return True for the access entry of this user, or of this session's role.

        A session's ARN lacks the path of its role, so roles are compared by name.
        """
        if ":assumed-role/" not in self.arn:
            return self.arn == principal_arn
        role = self.arn.split(":assumed-role/")[1].split("/")[0]
        account, is_role, name = principal_arn.partition(":role/")
        return (
            bool(is_role)
            and account.endswith(f":{self.account_id}")
            and (name.rsplit("/", 1)[-1] == role)
        )


def user_info(who: TokenIdentity, username: str, groups: list[str]) -> dict[str, Any]:
    """Return the user for the API server's TokenReview."""
    name = username.replace("{{AccountID}}", who.account_id)
    name = name.replace("{{SessionNameRaw}}", who.session)
    name = name.replace("{{SessionName}}", who.session.replace("@", "-"))
    return {
        "username": name,
        "uid": f"aws-iam-authenticator:{who.account_id}:{who.user_id}",
        "groups": [*groups, "system:authenticated"],
        "extra": {
            "arn": [who.arn],
            "accessKeyId": [who.key_id],
            "principalId": [who.user_id],
            "sessionName": [who.session],
        },
    }


def token_review(token: str, judge: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """Return the TokenReview for a token."""
    try:
        status: dict[str, Any] = {"authenticated": True, "user": judge(token)}
    except TokenError as refused:
        status = {"authenticated": False, "error": str(refused)}
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}
