"""Helm's errors and their translation for users. Pure functions.

They match Helm's own messages, because the SDK has few exception classes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from jarkkit.model.errors import AccessDenied, Conflict, Interrupted, JarkkitError, TimedOut

_EVIDENCE = 600
_SHORTEST = 4  # redacting shorter values would make the message unreadable
_SECRET_KEY = re.compile(
    r"pass(word|wd|phrase)?$|secret|token|credential|cookie|private|api_?key", re.I
)
_CHART = re.compile(
    r"execution error at \(|parse error at \(|template: |YAML parse error|error converting YAML"
    r"|values don't meet the specifications|chart requires kubeVersion|missing in charts/"
    r"|is not a local path|chart metadata|Chart\.yaml",
)
_TIMEOUT = re.compile(r"context deadline exceeded|timed out waiting")
# Transient: the API server or a webhook's pods are unavailable or overloaded.
_TRANSIENT = re.compile(
    r"connection refused|connection reset|broken pipe|unexpected EOF|: EOF|TLS handshake timeout"
    r"|[Kk]ubernetes cluster unreachable|client connection lost|server is currently unable"
    r"|apiserver not ready|too many requests|etcdserver|failed calling webhook"
    r"|failed to call webhook|server closed idle connection|http2: server sent GOAWAY"
    # The API server was killed while Helm looked up a kind.
    r"|unable to recognize .*: unknown$"
    # Every cluster has this role: an API server that does not find it has not loaded RBAC yet.
    r'|"system:basic-user" not found'
)
# The API server was killed while Helm waited for a hook. After Helm's timeout, the status can be
# unknown for other reasons, and a retry would take as long again.
_LOST_HOOK = re.compile(r"not ready\. status: Unknown")
# Another add-on's CRD or webhook comes up, or a namespace of an earlier run is being deleted. The
# action itself is not repeated, because that can take longer than an unavailable API server.
_SETTLING = re.compile(
    r"no matches for kind|could not find the requested resource|no endpoints available"
    r"|being terminated|timeout awaiting|[Ss]ervice [Uu]navailable"
)
_DENIED = re.compile(r"forbidden: User|[Uu]nauthorized|must be logged in")
_NOT_OURS = re.compile("invalid ownership metadata")
_FIXES = (
    (
        _NOT_OURS,
        "An object of that name exists and does not belong to this release: delete it, or turn the "
        "add-on off and keep your object.",
    ),
    (
        re.compile("ensure CRDs are installed first|no matches for kind"),
        "Install the CRD of that kind first, then run the step again.",
    ),
    (
        re.compile("webhook"),
        "Check that the webhook's pods are ready, then run the step again.",
    ),
    (
        re.compile("forbidden|[Uu]nauthorized|credentials"),
        "Use the credentials that created the deployment, or give these an access policy "
        "(aws eks associate-access-policy).",
    ),
    (
        re.compile("not ready"),
        "Check the objects in the evidence (kubectl describe, kubectl logs), then run the step "
        "again: it repairs the release.",
    ),
)
_USUAL_FIX = "Read the evidence, fix the cause, then run the step again: it repairs the release."


def is_transient(message: str) -> bool:
    """Return True if a retry may succeed."""
    lost = _LOST_HOOK.search(message) and not _TIMEOUT.search(message)
    return bool(lost) or _TRANSIENT.search(message) is not None


def is_access_denied(message: str) -> bool:
    """Return True if permissions are missing. An API server that just started also reports this,
    before it has loaded the RBAC roles."""
    return _DENIED.search(message) is not None


def explain(
    message: str, doing: str, values: dict[str, Any] | None = None, *, is_chart_error: bool = False
) -> JarkkitError:
    """Return the error for users.

    Args:
        message: the SDK's message.
        doing: the action, such as `install jupyterhub`.
        values: the release's values, which the error never shows.
        is_chart_error: True if the SDK blames the chart or its values.
    """
    details: dict[str, Any] = {
        "evidence": redact_values(message, values or {})[:_EVIDENCE],
        "transient": is_transient(message) or _SETTLING.search(message) is not None,
    }
    if is_chart_error or _CHART.search(message):
        return JarkkitError(
            "JK-HELM-CHART",
            f"{doing}: the chart does not work with these values.",
            "Correct the add-on's values or the settings as the evidence says.",
            **details,
        )
    if _TIMEOUT.search(message):
        return TimedOut(
            "JK-HELM-TIMEOUT",
            f"{doing}: Helm did not finish in time.",
            "Check what the pods of its hooks wait for (kubectl get pods, kubectl describe), then "
            "run the step again: it repairs the release.",
            **details,
        )
    fix = next((fix for pattern, fix in _FIXES if pattern.search(message)), _USUAL_FIX)
    return _kind(message)("JK-HELM-FAILED", f"{doing}: Helm failed.", fix, **details)


def _kind(message: str) -> type[JarkkitError]:
    if is_access_denied(message):
        return AccessDenied
    return Conflict if _NOT_OURS.search(message) else JarkkitError


def interrupted_error(doing: str) -> JarkkitError:
    """Return the error for a canceled action."""
    return Interrupted(
        "JK-INTERRUPTED",
        f"{doing}: interrupted.",
        "Run the step again: it repairs the release and continues.",
    )


def redact_values(message: str, values: dict[str, Any]) -> str:
    """Return the message without quoted values, and without secret values anywhere."""
    for text, secret in sorted(set(_texts(values)), key=lambda found: -len(found[0])):
        if secret:
            message = message.replace(text, "…")
        else:
            message = re.sub(rf"(['\"]){re.escape(text)}\1", r"\1…\1", message)
    return message


def _texts(value: Any, *, secret: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield all texts in a value, and whether each is below a key for a secret."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, secret=secret or _SECRET_KEY.search(str(key)) is not None)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner, secret=secret)
    elif isinstance(value, str) and len(value) >= _SHORTEST:
        yield value, secret
