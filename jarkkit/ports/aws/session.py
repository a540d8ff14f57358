"""boto3 sessions and clients, and the translation of SDK errors."""

from __future__ import annotations

import contextlib
import copy
import gc
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
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

from jarkkit.decisions.rehearsal_environment import is_loopback
from jarkkit.model.errors import (
    AccessDenied,
    ApiCallError,
    CapacityUnavailable,
    CredentialsExpired,
    CredentialsMissing,
    JarkkitError,
    ObjectInUse,
    ObjectNotFound,
    RegionUnavailable,
    Throttled,
    Unreachable,
)
from jarkkit.ports.aws.response_cache import (
    ANY_ACCOUNT,
    DAY,
    CachedResponse,
    CacheKey,
    ResponseCache,
    response_cache_folder,
)

_logger = logging.getLogger(__name__)

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
# The statuses that the SDK itself retries in its standard mode:
# https://docs.aws.amazon.com/boto3/latest/guide/retries.html
_PASSING_STATUSES = {500, 502, 503, 504}
# EC2 reports these as its own errors (status 500), but capacity does not return within a minute:
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
_NO_CAPACITY = {
    "InsufficientCapacity",
    "InsufficientHostCapacity",
    "InsufficientInstanceCapacity",
    "InsufficientReservedInstanceCapacity",
}
_NO_OTHER_CAPACITY = {"InsufficientAddressCapacity", "InsufficientVolumeCapacity"}
# How the services say that a resource does not exist: by the end of the code, or by all of it.
_MISSING_ENDINGS = ("NotFound", "NotFoundException", "NoSuchEntity", "NonExistentQueue")
_MISSING = {"404", "NoSuchBucket", "NoSuchKey", "NoSuchResourceException", "QueueDoesNotExist"}
# Another resource or operation uses it.
_IN_USE = {
    "ConcurrentModification",
    "DeleteConflict",
    "DependencyViolation",
    "FileSystemInUse",
    "IncorrectState",
    "InvalidIPAddress.InUse",
    "InvalidNetworkInterface.InUse",
    "ResourceInUse",
    "ResourceInUseException",
    "ScalingActivityInProgress",
    "VolumeInUse",
}

# The home Region of a partition's global services; always enabled.
_HOMES = {"cn": "cn-north-1", "us-gov": "us-gov-west-1"}
_HOME = "us-east-1"

# Cache a rejected GetCallerIdentity for this long; otherwise parallel callers would wait for the
# same rejection one after the other.
_REFUSAL_SECONDS = 10.0


# The SDK reads these from the process environment, but a sandbox has neither proxies nor variants.
_ON_LOOPBACK: dict[str, Any] = {
    "proxies": {},
    "use_fips_endpoint": False,
    "use_dualstack_endpoint": False,
}


class _Sdk:
    """boto3 session of one identity, for all Regions."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.making = threading.Lock()
        self.answers = ResponseCache(response_cache_folder(environ))
        self._environ = environ
        self._session: Any = None
        self._account_id = ""
        self._refused: tuple[float, JarkkitError] | None = None
        self._identifying = threading.Lock()

    def account_id(self, ask: Callable[[], str]) -> str:
        """Return the account id of the credentials, cached after the first call."""
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
        """Return the account id. It is cached, because an access key never changes its account."""
        with self.making, translate_errors("the credentials"):
            credentials = self.boto3().get_credentials()
            access_key = credentials.access_key if credentials else ""
        if not access_key:
            return ask()
        digest = hashlib.sha256(access_key.encode()).hexdigest()[:16]
        key = CacheKey(ANY_ACCOUNT, "global", f"account of the access key {digest}")
        return str(self.answers.get_or_fetch(key, DAY, ask).value)

    def boto3(self) -> Any:
        """Return the boto3 session. It is not thread-safe: hold `making` to call this and to create
        clients."""
        if self._session is None:
            environ = self._environ
            key = environ.get("AWS_ACCESS_KEY_ID")
            explicit: dict[str, Any] = {
                "aws_access_key_id": key,
                "aws_secret_access_key": environ.get("AWS_SECRET_ACCESS_KEY"),
                "aws_session_token": environ.get("AWS_SESSION_TOKEN") or None,
            }
            core = botocore.session.Session(_variables(environ))
            _log_calls(core)
            self._session = boto3.Session(botocore_session=core, **(explicit if key else {}))
        return self._session


def _variables(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return profile and files from the given environment, not from the process environment."""
    named = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE")
    profile = None if environ.get("AWS_ACCESS_KEY_ID") else named or None
    files = {
        "config_file": environ.get("AWS_CONFIG_FILE") or "~/.aws/config",
        "credentials_file": environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials",
    }
    return {
        name: (None, None, value, None) for name, value in {"profile": profile, **files}.items()
    }


def _log_calls(core: Any) -> None:
    """Log name, result and duration of every call, without its parameters."""

    def begin(context: dict[str, Any], **_: Any) -> None:
        context["jarkkit_began"] = time.monotonic()

    def end(context: dict[str, Any], outcome: str, name: str) -> None:
        seconds = time.monotonic() - context.get("jarkkit_began", time.monotonic())
        region = context.get("client_region", "")
        _logger.debug("%s in %s: %s (%.0f ms)", name, region, outcome, seconds * 1000)

    def answered(parsed: Mapping[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        outcome = parsed.get("Error", {}).get("Code") or "ok"
        end(context, outcome, f"{model.service_model.service_name}:{model.name}")

    def failed(exception: Exception, event_name: str, context: dict[str, Any], **_: Any) -> None:
        service, operation = event_name.split(".")[1:3]
        end(context, type(exception).__name__, f"{service}:{operation}")

    core.register("before-call", begin)
    core.register("after-call", answered)
    core.register("after-call-error", failed)


@dataclass(frozen=True)
class CallLimits:
    """How long a call may take, and how often it is made if it fails."""

    connect_seconds: float = 5
    read_seconds: float = 60
    attempts: int = 4


class AwsSession:
    """AWS clients for one Region and one environment. The constructor makes no call.

    The environment is an argument instead of the process environment, so that a sandbox's endpoint
    and credentials never mix with your real ones.
    """

    def __init__(
        self,
        region: str,
        environ: Mapping[str, str],
        sdk: _Sdk | None = None,
        limits: CallLimits | None = None,
    ) -> None:
        self.region = region
        self._limits = limits or CallLimits()
        self._environ = environ
        self._sdk = sdk or _Sdk(environ)
        self._clients: dict[str, Any] = {}

    def in_region(self, region: str) -> AwsSession:
        """Return a session with the same credentials in another Region. Its clients are cheap,
        because the SDK shares the loaded service models."""
        return AwsSession(region, self._environ, self._sdk, self._limits)

    def without_retries(self) -> AwsSession:
        """Return a session that calls once and gives up after a few seconds."""
        return AwsSession(self.region, self._environ, self._sdk, CallLimits(2, 5, attempts=1))

    @property
    def response_cache(self) -> ResponseCache:
        """Response cache of this session, shared by all its Regions."""
        return self._sdk.answers

    @property
    def endpoint(self) -> str | None:
        """Custom endpoint URL; None for the real AWS endpoints."""
        return self._environ.get("AWS_ENDPOINT_URL") or None

    def client(self, service: str) -> Any:
        """Return the service's client, which is cached and thread-safe. Raises
        JK-AWS-NO-CREDENTIALS for a missing profile."""
        with self._sdk.making, translate_errors(f"{service} client"):
            if service not in self._clients:
                with _without_collecting():
                    self._clients[service] = self._sdk.boto3().client(
                        service,
                        region_name=self.region,
                        endpoint_url=self.endpoint,
                        config=Config(
                            connect_timeout=self._limits.connect_seconds,
                            read_timeout=self._limits.read_seconds,
                            max_pool_connections=24,
                            # Not `adaptive`: if AWS throttles all calls, it allows one call
                            # every two seconds, so that a report takes minutes. jarkkit calls
                            # busy APIs at their rate limit (`RateLimiter`).
                            retries={
                                "mode": "standard",
                                "total_max_attempts": self._limits.attempts,
                            },
                            user_agent_extra="jarkkit",
                            **(_ON_LOOPBACK if is_loopback(self.endpoint) else {}),
                        ),
                    )
        return self._clients[service]

    def cached(
        self, request: str, max_age_seconds: float, fetch: Callable[[], Any]
    ) -> CachedResponse:
        """Return the cached response of this account and Region, or make the call and cache its
        result, which must be JSON values. Raises the call's errors, which are never cached.

        Args:
            request: description with everything that the response depends on.
        """
        try:
            whose = self._sdk.account_id(self._account_id)
        except (AccessDenied, Throttled):
            return CachedResponse(fetch(), datetime.now(UTC))  # unknown account: do not cache
        return self._sdk.answers.get_or_fetch(
            CacheKey(whose, self.region, request), max_age_seconds, fetch
        )

    def identity(self) -> Mapping[str, Any]:
        """Return the response of GetCallerIdentity.

        Raises JK-REGION-UNKNOWN if only the home Region accepts the credentials, which means that
        this Region is not enabled.
        """
        try:
            return self._identity()
        except CredentialsExpired as error:
            if self._known_at_home():
                raise _not_enabled(self.region, error.evidence) from error
            raise

    def _identity(self) -> Mapping[str, Any]:
        with translate_errors("sts GetCallerIdentity"):
            answer: Mapping[str, Any] = self.client("sts").get_caller_identity()
        return answer

    def _known_at_home(self) -> bool:
        home = home_region(self.region)
        if home == self.region:
            return False
        try:
            self.in_region(home)._identity()
        except JarkkitError:
            return False
        return True

    def _account_id(self) -> str:
        try:
            answer = self.identity()
        except RegionUnavailable:
            answer = self.in_region(home_region(self.region))._identity()
        return str(answer["Account"])

    def ignore_cache(self) -> None:
        """Ignore all responses that are cached so far, in every Region."""
        self._sdk.answers.ignore_cache()

    def known_regions(self) -> tuple[str, ...]:
        """Return the Regions where EKS exists, from the SDK's data (no call).

        Raises JK-AWS-NO-CREDENTIALS for a missing profile.
        """
        found: set[str] = set()
        with self._sdk.making, translate_errors("the SDK's Regions"):
            session = self._sdk.boto3()
            for partition in session.get_available_partitions():
                found.update(session.get_available_regions("eks", partition_name=partition))
        return tuple(sorted(found))


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    """Disable garbage collection while a client is created.

    A client consists of tens of thousands of long-lived objects, and repeated collections took half
    of the time of querying all Regions.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def home_region(region: str) -> str:
    """Return the partition's home Region, which holds global data (IAM's quotas)."""
    partition = next((prefix for prefix in _HOMES if region.startswith(f"{prefix}-")), "")
    return _HOMES.get(partition, _HOME)


def _not_enabled(region: str, evidence: str) -> JarkkitError:
    return RegionUnavailable(
        "JK-REGION-UNKNOWN",
        f"The credentials are valid, but {region} rejects them: the Region is not enabled in this "
        "account, or the session token is valid only in Regions that are enabled by default.",
        "Enable the Region in the account settings, or choose another one: jarkkit regions",
        evidence=evidence,
    )


def client_error_code(error: BaseException) -> str:
    """Return the AWS error code of an SDK error or of a translated one; empty for others."""
    cause = error.__cause__ if isinstance(error, JarkkitError) else error
    if isinstance(cause, ClientError):
        return str(cause.response.get("Error", {}).get("Code", ""))
    return ""


def paginate(client: Any, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
    """Yield the items of all pages of a list operation."""
    if not client.can_paginate(operation):
        yield from getattr(client, operation)(**arguments)[key]
        return
    for page in client.get_paginator(operation).paginate(**arguments):
        yield from page.get(key, [])


@contextlib.contextmanager
def translate_errors(doing: str) -> Iterator[None]:
    """Translate SDK errors into `JarkkitError`; the argument names the call."""
    try:
        yield
    except (BotoCoreError, ClientError, HTTPClientError) as error:
        raise _explain(error, doing) from error


def _explain(error: BotoCoreError | ClientError | HTTPClientError, doing: str) -> JarkkitError:
    code = client_error_code(error)
    message = str(error)[:400]
    if isinstance(error, NoCredentialsError | PartialCredentialsError | ProfileNotFound):
        return CredentialsMissing(
            "JK-AWS-NO-CREDENTIALS",
            f"No usable AWS credentials: {message}.",
            "Log in (aws sso login), set AWS_PROFILE or set the access key variables. To try "
            "jarkkit without an account: jarkkit run --sandbox",
        )
    login = SSOTokenLoadError | TokenRetrievalError | UnauthorizedSSOTokenError
    if code in _EXPIRED or isinstance(error, login | CredentialRetrievalError):
        return CredentialsExpired(
            "JK-AWS-EXPIRED",
            f"{doing}: the credentials are expired or not valid ({code or 'login'}).",
            "Renew them (for IAM Identity Center: aws sso login), then run the step again.",
            evidence=message,
        )
    if code in _DENIED or code.startswith("AccessDenied"):
        return AccessDenied(
            "JK-AWS-DENIED",
            f"{doing}: AWS denied the call for these credentials.",
            "Allow the action that AWS names, or use other credentials.",
            evidence=message,
        )
    if code in _THROTTLED:
        return Throttled(
            "JK-AWS-THROTTLED",
            f"{doing}: AWS throttled the call (too many requests).",
            "Wait a minute and try again.",
            evidence=message,
        )
    if isinstance(error, ConnectionError | HTTPClientError):
        return Unreachable(
            "JK-AWS-UNREACHABLE",
            f"{doing}: the endpoint does not answer.",
            "Check your network, proxy and endpoint. In the sandbox: jarkkit sandbox status",
            evidence=message,
        )
    if code in _NO_CAPACITY:
        return CapacityUnavailable(
            "JK-AWS-CAPACITY",
            f"{doing}: AWS has no capacity now ({code}).",
            "Choose another instance type, other zones or another Region, or try again later.",
            evidence=message,
        )
    return _kind_of_failure(code)(
        "JK-AWS-FAILED",
        f"{doing} failed ({code or type(error).__name__}).",
        message,
        evidence=message,
        transient=_status(error) in _PASSING_STATUSES and code not in _NO_OTHER_CAPACITY,
    )


def _status(error: BaseException) -> int:
    response = error.response if isinstance(error, ClientError) else {}
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _kind_of_failure(code: str) -> type[ApiCallError]:
    if code.endswith(_MISSING_ENDINGS) or code in _MISSING:
        return ObjectNotFound
    return ObjectInUse if code in _IN_USE else ApiCallError
