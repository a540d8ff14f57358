"""Retries a release's action while the API server, or an admission webhook, is unavailable.

`repair` decides what a failed or interrupted release needs before the action; this module repeats
the action itself. How an add-on as a whole is retried: `steps/cluster/retry.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from jarkkit.model.clock import monotonic
from jarkkit.ports.helm import sdk
from jarkkit.ports.helm.cancellation import HelmAction
from jarkkit.ports.helm.errors import is_access_denied, is_transient

T = TypeVar("T")

_PAUSE_SECONDS = 1.0
# Retry denials for this long after the first one: an API server that just started has not loaded
# the RBAC roles. Helm itself may have waited for the server to answer, within one attempt.
_DENIAL_SECONDS = 5.0


def retry(action: HelmAction, attempt: Callable[[], T], seconds: float) -> T:
    """Repeat the attempt until it succeeds or a transient error lasts longer than `seconds`.

    Raises the SDK's last error, and JK-INTERRUPTED when the action is canceled.
    """
    begun, denied_since = monotonic(), None
    while True:
        try:
            return attempt()
        except sdk.load().HelmError as error:
            action.raise_if_cancelled()
            # Count from the first attempt: one attempt can take as long if packets are lost.
            if is_transient(str(error)):
                until, denied_since = begun + seconds, None
            elif is_access_denied(str(error)):
                denied_since = monotonic() if denied_since is None else denied_since
                until = denied_since + min(_DENIAL_SECONDS, seconds)
            else:
                raise
            if monotonic() > until:
                raise
        action.sleep(_PAUSE_SECONDS)
