"""How calls reach AWS, and what their failures mean."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

from jarkkit.errors import JarkkitError

_EXPIRED = {
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "AuthFailure",
}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Forbidden", "403"}
_THROTTLED = {
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "SlowDown",
    "PriorRequestNotComplete",
}


class Session:
    """Makes clients for one Region from an environment. Making one calls nobody.

    The environment is handed in, not read from the process, so that a rehearsal's endpoint and
    credentials can never mix with the user's real ones.
    """

    def __init__(self, region: str, environ: Mapping[str, str]) -> None:
        self.region = region
        self._environ = environ
        self._session: Any = None
        self._clients: dict[str, Any] = {}
        self._making = threading.Lock()

    @property
    def endpoint(self) -> str | None:
        """The endpoint that replaces AWS' own; None for the real ones."""
        return self._environ.get("AWS_ENDPOINT_URL") or None

    def client(self, service: str) -> Any:
        """The service's client; made once, and good for many threads. Raises JK-AWS-NO-CREDENTIALS
        for a missing profile."""
        with self._making, translated(f"{service} client"):
            if service not in self._clients:
                self._clients[service] = self._boto3().client(
                    service,
                    region_name=self.region,
                    endpoint_url=self.endpoint,
                    config=Config(
                        connect_timeout=5,
                        read_timeout=60,
                        max_pool_connections=24,
                        retries={"mode": "standard", "total_max_attempts": 4},
                        user_agent_extra="jarkkit",
                    ),
                )
        return self._clients[service]

    def known_regions(self) -> tuple[str, ...]:
        """Regions that have EKS, from the SDK's own data: no call is made."""
        session = self._boto3()
        found: set[str] = set()
        for partition in session.get_available_partitions():
            found.update(session.get_available_regions("eks", partition_name=partition))
        return tuple(sorted(found))

    def _boto3(self) -> Any:
        if self._session is None:
            environ = self._environ
            key = environ.get("AWS_ACCESS_KEY_ID")
            explicit: dict[str, Any] = {
                "aws_access_key_id": key,
                "aws_secret_access_key": environ.get("AWS_SECRET_ACCESS_KEY"),
                "aws_session_token": environ.get("AWS_SESSION_TOKEN") or None,
            }
            # The profile from the environment that was handed in, not from the process.
            profile = None if key else environ.get("AWS_PROFILE") or None
            core = botocore.session.Session({"profile": (None, None, profile, None)})
            self._session = boto3.Session(botocore_session=core, **(explicit if key else {}))
        return self._session


def client_error_code(error: BaseException) -> str:
    """The AWS error code of an SDK error; empty for others."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn SDK errors raised inside into `JarkkitError`; `doing` names the call."""
    try:
        yield
    except (BotoCoreError, ClientError, HTTPClientError) as error:
        raise _explain(error, doing) from error


def _explain(error: BotoCoreError | ClientError | HTTPClientError, doing: str) -> JarkkitError:
    code = client_error_code(error)
    said = str(error)[:400]
    if isinstance(error, NoCredentialsError | PartialCredentialsError | ProfileNotFound):
        return JarkkitError(
            "JK-AWS-NO-CREDENTIALS",
            f"No usable AWS credentials: {said}.",
            "Log in (aws sso login), name a profile (AWS_PROFILE) or set the access key variables; "
            "or rehearse without an account: jarkkit run --sandbox",
        )
    login = SSOTokenLoadError | TokenRetrievalError | UnauthorizedSSOTokenError
    if code in _EXPIRED or isinstance(error, login | CredentialRetrievalError):
        return JarkkitError(
            "JK-AWS-EXPIRED",
            f"{doing}: the credentials are expired or not valid ({code or 'login'}).",
            "Renew them (for IAM Identity Center: aws sso login), then run the step again.",
            evidence=said,
        )
    if code in _DENIED or code.startswith("AccessDenied"):
        return JarkkitError(
            "JK-AWS-DENIED",
            f"{doing}: these credentials are not allowed to do that.",
            "Let the action named below be allowed, or use other credentials.",
            evidence=said,
        )
    if code in _THROTTLED:
        return JarkkitError(
            "JK-AWS-THROTTLED",
            f"{doing}: AWS answers that there are too many calls.",
            "Wait a minute and try again.",
            evidence=said,
        )
    if isinstance(error, ConnectionError | HTTPClientError):
        return JarkkitError(
            "JK-AWS-UNREACHABLE",
            f"{doing}: the endpoint does not answer.",
            "Check network, proxy and endpoint. In a rehearsal: jarkkit sandbox status",
            evidence=said,
        )
    return JarkkitError(
        "JK-AWS-FAILED", f"{doing} failed ({code or type(error).__name__}).", said, evidence=said
    )
