"""What Helm's messages mean. Pure: the SDK's classes tell little, its texts are Helm's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from jarkkit.errors import JarkkitError

_EVIDENCE = 600
_SHORTEST = 4  # shorter values say nothing, and would blot the message
_SECRET_KEY = re.compile(
    r"pass(word|wd|phrase)?$|secret|token|credential|cookie|private|api_?key", re.I
)
_CHART = re.compile(
    r"execution error at \(|parse error at \(|template: |YAML parse error|error converting YAML"
    r"|values don't meet the specifications|chart requires kubeVersion|missing in charts/"
    r"|is not a local path|chart metadata|Chart\.yaml",
)
_TIMEOUT = re.compile(r"context deadline exceeded|timed out waiting")
# The API server is away or busy, or a webhook's pods are: the same may work a moment later.
_PASSING = re.compile(
    r"connection refused|connection reset|broken pipe|unexpected EOF|: EOF|TLS handshake timeout"
    r"|[Kk]ubernetes cluster unreachable|client connection lost|server is currently unable"
    r"|apiserver not ready|too many requests|etcdserver|failed calling webhook"
    r"|failed to call webhook|server closed idle connection|http2: server sent GOAWAY"
)
_DENIED = re.compile(r"forbidden: User|[Uu]nauthorized|must be logged in")
_FIXES = (
    (
        re.compile("invalid ownership metadata"),
        "Something of that name exists and is not this release's: delete it, or switch the add-on "
        "off and keep yours.",
    ),
    (
        re.compile("ensure CRDs are installed first|no matches for kind"),
        "Install what defines that kind first, then run the step again.",
    ),
    (
        re.compile("webhook"),
        "See that the pods behind that webhook are ready, then run the step again.",
    ),
    (
        re.compile("forbidden|[Uu]nauthorized|credentials"),
        "Use the credentials the deployment was made with, or give these an access policy "
        "(aws eks associate-access-policy).",
    ),
    (
        re.compile("not ready"),
        "Look at what the evidence names (kubectl describe, kubectl logs); then run the step "
        "again: it repairs the release.",
    ),
)
_USUAL_FIX = "Read the evidence; run the step again when the cause is gone: it repairs the release."


def is_passing(message: str) -> bool:
    """True when the same may work a moment later."""
    return _PASSING.search(message) is not None


def is_denial(message: str) -> bool:
    """True for credentials that may not do it, or so an API server says that has just started and
    knows no roles yet."""
    return _DENIED.search(message) is not None


def explain(
    message: str, doing: str, values: dict[str, Any] | None = None, *, of_chart: bool = False
) -> JarkkitError:
    """The error as users see it.

    Args:
        message: the SDK's.
        doing: such as `install jupyterhub`.
        values: never repeated in the error.
        of_chart: the SDK says that the chart or its values are at fault.
    """
    evidence = without_values(message, values or {})[:_EVIDENCE]
    if of_chart or _CHART.search(message):
        return JarkkitError(
            "JK-HELM-CHART",
            f"{doing}: the chart cannot be used with these values.",
            "Correct what the evidence names, in the add-on's values or the settings.",
            evidence=evidence,
        )
    if _TIMEOUT.search(message):
        return JarkkitError(
            "JK-HELM-TIMEOUT",
            f"{doing}: Helm did not finish in time.",
            "See what the pods of its hooks wait for (kubectl get pods, kubectl describe); then "
            "run the step again: it repairs the release.",
            evidence=evidence,
        )
    fix = next((fix for pattern, fix in _FIXES if pattern.search(message)), _USUAL_FIX)
    return JarkkitError("JK-HELM-FAILED", f"{doing}: Helm failed.", fix, evidence=evidence)


def interrupted(doing: str) -> JarkkitError:
    """The error after a cancel."""
    return JarkkitError(
        "JK-INTERRUPTED",
        f"{doing}: interrupted.",
        "Run the step again: it repairs the release and goes on.",
    )


def without_values(message: str, values: dict[str, Any]) -> str:
    """The message without the texts of the values: quoted ones, and secrets wherever they are."""
    for text, secret in sorted(set(_texts(values)), key=lambda found: -len(found[0])):
        if secret:
            message = message.replace(text, "…")
        else:
            message = re.sub(rf"(['\"]){re.escape(text)}\1", r"\1…\1", message)
    return message


def _texts(value: Any, *, secret: bool = False) -> Iterator[tuple[str, bool]]:
    """All texts in it, and whether each is under a key that names a secret."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, secret=secret or _SECRET_KEY.search(str(key)) is not None)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner, secret=secret)
    elif isinstance(value, str) and len(value) >= _SHORTEST:
        yield value, secret
