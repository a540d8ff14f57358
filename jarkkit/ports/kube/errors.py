"""The API server's errors and their translation for users. Pure functions."""

from __future__ import annotations

import json
import re

from jarkkit.model.errors import (
    AccessDenied,
    ApiCallError,
    JarkkitError,
    ObjectConflict,
    ObjectNotFound,
    Throttled,
    Unreachable,
)

_EVIDENCE = 600
# RBAC's message: User "x" cannot get resource "pods" in API group "" … A rejection by an admission
# plugin (quota, Pod Security, a webhook) has the same status and a different message.
_NOT_PERMITTED = re.compile(r"cannot [a-z]+ (resource|path)")
# Server-side apply returns a plain 500 for an object that does not match its schema.
_MISFIT = re.compile(r"failed to (create typed patch object|convert new object)")
_SECRET_FIELD = re.compile(r"\.(?:data|stringData)\.[\w.-]*\w")
# A namespace of an earlier run is being deleted, or a new CRD is not served yet. The client does
# not retry these, because they can take longer than an unavailable API server.
_SETTLING = re.compile(r"being terminated|could not find the requested resource")
_REFUSALS = frozenset({400, 403, 405, 409, 413, 415, 422})
_PASSING = frozenset({429, 500, 502, 503, 504})


class ApiError(Exception):
    """A call of the API server failed.

    Attributes:
        status: HTTP status; 0 without a response.
    """

    status = 0


class ApiStatusError(ApiError):
    """The API server returned an error.

    Attributes:
        status: HTTP status.
        reason: Kubernetes' reason, such as NotFound or Conflict.
        message: error message, which may contain values of the object.
        fields: names of the invalid fields, without their values.
        retry_after_seconds: value of the Retry-After header; 0 without it.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        fields: tuple[str, ...] = (),
        retry_after_seconds: float = 0.0,
    ) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.fields = fields
        self.retry_after_seconds = retry_after_seconds

    @property
    def is_transient(self) -> bool:
        """True if a retry may succeed."""
        busy = self.status in _PASSING and not self.is_schema_error
        return busy or self.reason == "Conflict"

    @property
    def is_access_denied(self) -> bool:
        """True for unknown credentials or missing permissions."""
        permitted = _NOT_PERMITTED.search(self.message) is None
        return self.status == 401 or (self.status == 403 and not permitted)

    @property
    def is_schema_error(self) -> bool:
        """True if the object does not match its schema."""
        return self.status == 500 and _MISFIT.search(self.message) is not None


class NoResponseError(ApiError):
    """The API server did not answer, or the connection was lost during the response.

    Attributes:
        is_transient: False if a retry cannot help, for example for an untrusted certificate.
    """

    def __init__(self, message: str, *, is_transient: bool = True) -> None:
        super().__init__(message)
        self.is_transient = is_transient


def parse_status_error(status: int, body: bytes, retry_after: str = "") -> ApiStatusError:
    """Parse an error response: a Status object, or any text of a proxy or load balancer."""
    seconds = float(retry_after) if re.fullmatch(r"\d+", retry_after) else 0.0
    try:
        status_object = json.loads(body)
        causes = (status_object.get("details") or {}).get("causes") or ()
    except (ValueError, AttributeError):
        return ApiStatusError(
            status, "", body.decode(errors="replace")[:_EVIDENCE], retry_after_seconds=seconds
        )
    fields = tuple(str(cause["field"]) for cause in causes if cause.get("field"))
    reason = status_object.get("reason") or ""
    message = status_object.get("message") or ""
    return ApiStatusError(status, reason, message, fields=fields, retry_after_seconds=seconds)


def explain(
    error: ApiStatusError | NoResponseError, doing: str, *, secret: bool = False
) -> JarkkitError:
    """Return the error for users.

    Args:
        doing: the call, such as `apply Deployment a/b`.
        secret: the object contains secrets, so the error shows no text that may contain values.
    """
    if isinstance(error, NoResponseError):
        return Unreachable(
            "JK-KUBE-UNREACHABLE",
            f"{doing}: the cluster's API did not answer.",
            "Check that the cluster exists and that you can reach its endpoint (network, VPN, the "
            "CIDR blocks of the public endpoint); then run the step again.",
            evidence=_cut(str(error)),
            transient=error.is_transient,
        )
    code, fix = _meaning(error)
    named = f"{error.status} {error.reason}".strip()
    fields = error.fields or tuple(_SECRET_FIELD.findall(error.message))
    evidence = ", ".join(fields) if secret else error.message
    return _kind(error)(
        code,
        f"{doing}: {named}.",
        fix,
        evidence=_cut(evidence),
        transient=error.is_transient or _SETTLING.search(error.message) is not None,
    )


def unknown_kind(api_version: str, kind: str) -> JarkkitError:
    """Return the error for a kind that the cluster does not serve."""
    return ObjectNotFound(
        "JK-KUBE-FAILED",
        f"The cluster does not serve {kind} of {api_version}.",
        "Install its CRD first, or check the apiVersion.",
        transient=True,  # a CRD is served some moments after it was created
    )


def _kind(error: ApiStatusError) -> type[ApiCallError]:
    if error.is_access_denied:
        return AccessDenied
    kinds = {404: ObjectNotFound, 409: ObjectConflict, 429: Throttled}
    return kinds.get(error.status, ApiCallError)


def _meaning(error: ApiStatusError) -> tuple[str, str]:
    """Return the error code and the fix."""
    if error.status == 401:
        return "JK-KUBE-DENIED", (
            "The cluster rejects these credentials: use those that created the deployment, or give "
            "these an access entry (aws eks create-access-entry)."
        )
    if error.is_access_denied:
        return "JK-KUBE-DENIED", (
            "Give the credentials an access policy that allows the call "
            "(aws eks associate-access-policy), then run the step again."
        )
    if "failed calling webhook" in error.message:
        return "JK-KUBE-REFUSED", (
            "An admission webhook does not answer: check that its pods are ready, then run the "
            "step again."
        )
    if error.status in _REFUSALS or error.is_schema_error:
        return (
            "JK-KUBE-REFUSED",
            "Correct the object as the evidence says, then run the step again.",
        )
    return "JK-KUBE-FAILED", "Read the evidence, fix the cause, then run the step again."


def _cut(text: str) -> str:
    return text if len(text) <= _EVIDENCE else text[: _EVIDENCE - 1] + "…"
