"""Opening a deployment in a notebook, with somebody there or nobody."""

from __future__ import annotations

import os

from jarkkit.home import find_home, sandbox_home
from jarkkit.kit import Kit

HEADLESS = "JARKKIT_HEADLESS"


def headless() -> bool:
    """True when nobody is there to answer."""
    return bool(os.environ.get(HEADLESS))


def begin(deployment: str, *, rehearsal: bool) -> Kit:
    """Open the deployment, or make it. A rehearsal gets its sandbox started."""
    kit = Kit.create(deployment, rehearsal=rehearsal, exist_ok=True)
    return resume(deployment) if kit.rehearsal else kit


def resume(deployment: str) -> Kit:
    """Open a deployment that notebook 00 has made; starts its sandbox again when it has ended.

    With somebody there the sandbox goes on when the kernel ends: other notebooks, and a step that
    is under way, need it. `jarkkit sandbox down` ends it.
    """
    kit = Kit.open(deployment)
    if kit.rehearsal and not os.environ.get("AWS_ENDPOINT_URL"):
        from jarkkit.sandbox import control

        home = sandbox_home(find_home())
        if control.find(home) is None:
            control.start(home, detach=not headless())
        kit = Kit.open(deployment)
    return kit
