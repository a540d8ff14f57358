"""Retries an add-on's install while webhooks and CRDs come up.

`ports/helm/retry.py` retries one Helm action while the API server is unavailable; this repeats the
whole install of an add-on: the objects before its chart, the release, the objects after it. A CRD
that exists is awaited for as long as the add-on may take.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jarkkit.model.clock import monotonic
from jarkkit.model.errors import Interrupted, JarkkitError
from jarkkit.model.polling import Sleep, poll, wait_until
from jarkkit.ports.kube import Kube

CRD = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
# Growing pauses: 20 attempts take a minute, also if each fails at once.
_ATTEMPTS, _RETRY_SECONDS, _GROWTH = 20, 0.7, 1.15
_CRD_SECONDS = 1.0
# Start no attempt later than this after the first error: the ports have already retried while the
# API server did not answer, so each of 20 attempts could take another minute. Time before the first
# error does not count, because a chart's hooks may run for minutes before the API server restarts.
_WINDOW_SECONDS = 60.0


def with_retries(
    call: Callable[[], None], stop: threading.Event, clock: Callable[[], float] = monotonic
) -> None:
    """Call it, and retry transient errors for about a minute, or until `stop` is set.

    Raises the last error, and JK-INTERRUPTED when `stop` is set.
    """
    failed_at: float | None = None
    looks = poll(_RETRY_SECONDS, attempts=_ATTEMPTS, growth=_GROWTH, sleep=stop.wait)
    for attempt, _ in enumerate(looks, 1):
        if stop.is_set():
            break
        try:
            return call()
        except JarkkitError as error:
            failed_at = clock() if failed_at is None else failed_at
            if attempt == _ATTEMPTS or not error.transient or clock() - failed_at > _WINDOW_SECONDS:
                raise
    raise Interrupted(
        "JK-INTERRUPTED",
        "The installation was stopped.",
        "Deploy again: it resumes where it stopped.",
    )


def wait_for_crds(
    kube: Kube, manifests: Iterable[Mapping[str, Any]], timeout: float, sleep: Sleep
) -> None:
    """Wait until the API serves the kinds of these objects, as long as their CRDs exist.

    A busy API server may need most of a minute until it serves the kind of a new CRD. Applying an
    object of a kind that is still missing then raises the error.

    Args:
        timeout: seconds to wait at most for each kind.
        sleep: pauses for that many seconds; returns True to stop.
    """
    for api_version, kind in dict.fromkeys((m["apiVersion"], m["kind"]) for m in manifests):

        def is_served(api_version: str = api_version, kind: str = kind) -> bool:
            return kube.serves_kind(api_version, kind) or not _crd_exists(kube, api_version, kind)

        wait_until(is_served, bool, _CRD_SECONDS, timeout, sleep=sleep)


def _crd_exists(kube: Kube, api_version: str, kind: str) -> bool:
    group = api_version.partition("/")[0]
    specs = (crd["spec"] for crd in kube.list(*CRD))
    return any((s["group"], s["names"]["kind"]) == (group, kind) for s in specs)
