"""What the API server's refusals mean. Pure."""

from __future__ import annotations

import json
import re

from jarkkit.errors import JarkkitError

_EVIDENCE = 600
# How RBAC words it: User "x" cannot get resource "pods" in API group "" … An admission plugin's
# refusal (quota, Pod Security, a webhook) has the same status and another wording.
_NOT_PERMITTED = re.compile(r"cannot [a-z]+ (resource|path)")
# An object that does not fit its schema is a plain 500 when it is applied.
_MISFIT = re.compile(r"failed to (create typed patch object|convert new object)")
_SECRET_FIELD = re.compile(r"\.(?:data|stringData)\.[\w.-]*\w")
_REFUSALS = frozenset({400, 403, 405, 409, 413, 415, 422})
_PASSING = frozenset({429, 500, 502, 503, 504})


class RefusedError(Exception):
    """The API server answered with an error.

    Attributes:
        status: HTTP status.
        reason: Kubernetes' word for it, such as NotFound or Conflict.
        message: its sentence; it may repeat values of the object.
        fields: the fields it complains of, without their values.
        wait: seconds after which it wants to be asked again; 0 when it says nothing.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        fields: tuple[str, ...] = (),
        wait: float = 0.0,
    ) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.fields = fields
        self.wait = wait

    @property
    def passing(self) -> bool:
        """True when the same call may work a moment later."""
        busy = self.status in _PASSING and not self.misfit
        return busy or self.reason == "Conflict"

    @property
    def denied(self) -> bool:
        """True for credentials that are not known, or may not do it."""
        permitted = _NOT_PERMITTED.search(self.message) is None
        return self.status == 401 or (self.status == 403 and not permitted)

    @property
    def misfit(self) -> bool:
        """True when the object does not fit its schema."""
        return self.status == 500 and _MISFIT.search(self.message) is not None


class NoAnswerError(Exception):
    """The API server did not answer, or the connection ended in the middle of an answer.

    Attributes:
        passing: False when waiting cannot help: a certificate that is not trusted.
    """

    def __init__(self, message: str, *, passing: bool = True) -> None:
        super().__init__(message)
        self.passing = passing


def refusal(status: int, body: bytes, wait: str = "") -> RefusedError:
    """From an answer: a Status object, or any text that something on the way has written."""
    seconds = float(wait) if re.fullmatch(r"\d+", wait) else 0.0
    try:
        said = json.loads(body)
        causes = (said.get("details") or {}).get("causes") or ()
    except (ValueError, AttributeError):
        return RefusedError(status, "", body.decode(errors="replace")[:_EVIDENCE], wait=seconds)
    fields = tuple(str(cause["field"]) for cause in causes if cause.get("field"))
    reason, message = said.get("reason") or "", said.get("message") or ""
    return RefusedError(status, reason, message, fields=fields, wait=seconds)


def explain(
    error: RefusedError | NoAnswerError, doing: str, *, secret: bool = False
) -> JarkkitError:
    """The error as users see it.

    Args:
        doing: the call, such as `apply Deployment a/b`.
        secret: the object holds secrets, so nothing that may repeat its values is shown.
    """
    if isinstance(error, NoAnswerError):
        return JarkkitError(
            "JK-KUBE-UNREACHABLE",
            f"{doing}: the cluster's API did not answer.",
            "Check that the cluster is there and that its endpoint can be reached from here "
            "(network, VPN, the CIDRs that may use the public endpoint); then run the step again.",
            evidence=_cut(str(error)),
        )
    code, fix = _meaning(error)
    named = f"{error.status} {error.reason}".strip()
    fields = error.fields or tuple(_SECRET_FIELD.findall(error.message))
    evidence = ", ".join(fields) if secret else error.message
    return JarkkitError(code, f"{doing}: {named}.", fix, evidence=_cut(evidence))


def unknown_kind(api_version: str, kind: str) -> JarkkitError:
    """A kind that the cluster does not serve."""
    return JarkkitError(
        "JK-KUBE-FAILED",
        f"The cluster does not know {kind} of {api_version}.",
        "Install what defines it first, or check the apiVersion.",
    )


def _meaning(error: RefusedError) -> tuple[str, str]:
    """Code and fix."""
    if error.status == 401:
        return "JK-KUBE-DENIED", (
            "The cluster does not know these credentials: use those the deployment was made with, "
            "or give them an access entry (aws eks create-access-entry)."
        )
    if error.denied:
        return "JK-KUBE-DENIED", (
            "Give the credentials an access policy that permits it "
            "(aws eks associate-access-policy), then run the step again."
        )
    if "failed calling webhook" in error.message:
        return "JK-KUBE-REFUSED", (
            "An admission webhook does not answer: see that the pods behind it are ready, then "
            "run the step again."
        )
    if error.status in _REFUSALS or error.misfit:
        return "JK-KUBE-REFUSED", "Correct what the evidence names, then run the step again."
    return "JK-KUBE-FAILED", "Read the evidence; run the step again when the cause is gone."


def _cut(text: str) -> str:
    return text if len(text) <= _EVIDENCE else text[: _EVIDENCE - 1] + "…"
