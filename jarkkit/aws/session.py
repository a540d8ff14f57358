"""How calls reach AWS, and what their failures mean."""

from __future__ import annotations

import contextlib
import copy
import gc
import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

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

from jarkkit.aws.answers import DAY, PUBLIC, Answer, Answers, Key, answers_folder
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

# Where a partition's services without Regions are kept; always enabled.
_HOMES = {"cn": "cn-north-1", "us-gov": "us-gov-west-1"}
_HOME = "us-east-1"

# For so long nobody asks again who we are, where that was refused: all who ask at the same time
# would wait for the same refusal, one after the other.
_REFUSAL_SECONDS = 10.0


class _Sdk:
    """boto3 for one identity, in all Regions."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.making = threading.Lock()
        self.answers = Answers(answers_folder(environ))
        self._environ = environ
        self._session: Any = None
        self._account_id = ""
        self._refused: tuple[float, JarkkitError] | None = None
        self._identifying = threading.Lock()

    def account_id(self, ask: Callable[[], str]) -> str:
        """Whose credentials these are; asked once."""
        with self._identifying:
            if self._refused and time.monotonic() - self._refused[0] < _REFUSAL_SECONDS:
                raise copy.copy(self._refused[1])
            try:
                self._account_id = self._account_id or self._identified(ask)
            except JarkkitError as error:
                self._refused = time.monotonic(), error
                raise
            return self._account_id

    def _identified(self, ask: Callable[[], str]) -> str:
        """The account. An access key belongs to the same one for ever, so that is remembered."""
        with self.making, translated("the credentials"):
            credentials = self.boto3().get_credentials()
            access_key = credentials.access_key if credentials else ""
        if not access_key:
            return ask()
        digest = hashlib.sha256(access_key.encode()).hexdigest()[:16]
        key = Key(PUBLIC, "global", f"account of the access key {digest}")
        return str(self.answers.ask(key, DAY, ask).value)

    def boto3(self) -> Any:
        """boto3's session. Call it, and make clients of it, while holding `making`: it is not made
        for threads."""
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


class Session:
    """Makes clients for one Region from an environment. Making one calls nobody.

    The environment is handed in, not read from the process, so that a rehearsal's endpoint and
    credentials can never mix with the user's real ones.
    """

    def __init__(self, region: str, environ: Mapping[str, str], sdk: _Sdk | None = None) -> None:
        self.region = region
        self._environ = environ
        self._sdk = sdk or _Sdk(environ)
        self._clients: dict[str, Any] = {}

    def elsewhere(self, region: str) -> Session:
        """The same credentials in another Region. A client there costs little: what the SDK has
        read of a service is shared."""
        return Session(region, self._environ, self._sdk)

    @property
    def answers(self) -> Answers:
        """What was answered before, to this session and to those elsewhere."""
        return self._sdk.answers

    @property
    def endpoint(self) -> str | None:
        """The endpoint that replaces AWS' own; None for the real ones."""
        return self._environ.get("AWS_ENDPOINT_URL") or None

    def client(self, service: str) -> Any:
        """The service's client; made once, and good for many threads. Raises JK-AWS-NO-CREDENTIALS
        for a missing profile."""
        with self._sdk.making, translated(f"{service} client"):
            if service not in self._clients:
                with _without_collecting():
                    self._clients[service] = self._sdk.boto3().client(
                        service,
                        region_name=self.region,
                        endpoint_url=self.endpoint,
                        config=Config(
                            connect_timeout=5,
                            read_timeout=60,
                            max_pool_connections=24,
                            # Not `adaptive`: where everything is refused it lets one call
                            # through in two seconds, so that a report takes minutes. APIs that
                            # are called often are called at their rate (`asking.Pace`).
                            retries={"mode": "standard", "total_max_attempts": 4},
                            user_agent_extra="jarkkit",
                            # The SDK reads the proxy from the process. A sandbox on loopback is
                            # no proxy's business.
                            proxies={} if _is_loopback(self.endpoint) else None,
                        ),
                    )
        return self._clients[service]

    def remembered(self, question: str, max_age_seconds: float, ask: Callable[[], Any]) -> Answer:
        """What this account answered here before, if that is not older; else what `ask` gets now,
        in values that JSON has. Its errors are raised, and never remembered.

        Args:
            question: in words, with everything that the answer depends on.
        """
        try:
            whose = self._sdk.account_id(self._account_id)
        except JarkkitError as error:
            if error.code in ("JK-AWS-DENIED", "JK-AWS-THROTTLED"):
                return Answer(ask(), datetime.now(UTC))  # nobody knows whose answer it is
            raise
        return self._sdk.answers.ask(Key(whose, self.region, question), max_age_seconds, ask)

    def identity(self) -> Mapping[str, Any]:
        """GetCallerIdentity's answer.

        Raises JK-REGION-UNKNOWN where this Region knows no keys of the account and the home Region
        does: so answer Regions that are not enabled.
        """
        try:
            return self._identity()
        except JarkkitError as error:
            if error.code == "JK-AWS-EXPIRED" and self._known_at_home():
                raise _not_enabled(self.region, error.evidence) from error
            raise

    def _identity(self) -> Mapping[str, Any]:
        with translated("sts GetCallerIdentity"):
            answer: Mapping[str, Any] = self.client("sts").get_caller_identity()
        return answer

    def _known_at_home(self) -> bool:
        home = home_region(self.region)
        if home == self.region:
            return False
        try:
            self.elsewhere(home)._identity()
        except JarkkitError:
            return False
        return True

    def _account_id(self) -> str:
        try:
            answer = self.identity()
        except JarkkitError as error:
            if error.code != "JK-REGION-UNKNOWN":
                raise
            answer = self.elsewhere(home_region(self.region))._identity()
        return str(answer["Account"])

    def forget(self) -> None:
        """Whatever was answered before now is asked anew, in every Region."""
        self._sdk.answers.forget()

    def known_regions(self) -> tuple[str, ...]:
        """Regions that have EKS, from the SDK's own data: no call is made."""
        found: set[str] = set()
        with self._sdk.making:
            session = self._sdk.boto3()
            for partition in session.get_available_partitions():
                found.update(session.get_available_regions("eks", partition_name=partition))
        return tuple(sorted(found))


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    """Python's collector rests. A client is tens of thousands of objects that stay, and the
    collector would look through everything there is again and again while they are made: it took
    half of the time of asking all Regions."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _is_loopback(url: str | None) -> bool:
    return urlsplit(url or "").hostname in ("127.0.0.1", "localhost", "::1")


def home_region(region: str) -> str:
    """The Region of the same partition that keeps what has no Region (IAM's quotas)."""
    partition = next((prefix for prefix in _HOMES if region.startswith(f"{prefix}-")), "")
    return _HOMES.get(partition, _HOME)


def _not_enabled(region: str, evidence: str) -> JarkkitError:
    return JarkkitError(
        "JK-REGION-UNKNOWN",
        f"The credentials are good, but {region} does not know them: the Region is not enabled in "
        "this account, or the session was opened for the older Regions alone.",
        "Enable it in the account's Region settings, or choose another Region: jarkkit regions",
        evidence=evidence,
    )


def client_error_code(error: BaseException) -> str:
    """The AWS error code of an SDK error, or of the one that was translated; empty for others."""
    cause = error.__cause__ if isinstance(error, JarkkitError) else error
    if isinstance(cause, ClientError):
        return str(cause.response.get("Error", {}).get("Code", ""))
    return ""


def paged(client: Any, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
    """The items of all pages of a listing."""
    if not client.can_paginate(operation):
        yield from getattr(client, operation)(**arguments)[key]
        return
    for page in client.get_paginator(operation).paginate(**arguments):
        yield from page.get(key, [])


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
            "Let the action that AWS names be allowed, or use other credentials.",
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
