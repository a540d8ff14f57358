"""Whether the last preflight stands in the way of a deploy. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from jarkkit.model.checks import Check, Report
from jarkkit.model.errors import CredentialsError, Leftover, NotAllowed, Unreachable
from jarkkit.model.records import LedgerEntry


def require_preflight(name: str, report: Report) -> None:
    """Raise JK-PREFLIGHT-BLOCKED if the preflight found what would make the deploy fail.

    Args:
        name: the deployment's.
        report: of a preflight that counts.
    """
    failed = [check for check in report.failures() if _blocks(check)]
    if not failed:
        return
    names = "; ".join(_described(check) for check in failed[:3])
    more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
    fixes = " ".join(check.fix for check in failed[:3] if check.fix)
    raise NotAllowed(
        "JK-PREFLIGHT-BLOCKED",
        f"The last preflight of these settings failed: {names}{more}.",
        f"{fixes} Then check again: jarkkit preflight {name} --refresh. To deploy nevertheless: "
        f"jarkkit deploy {name} --skip-preflight (in notebook 04: skip_preflight = True).".strip(),
    )


def counts(digest: str, entries: Sequence[LedgerEntry]) -> bool:
    """Return True if the last preflight was for settings with this digest, and nothing has
    disproved it since: no deploy finished, and no cleanup changed the account.

    Without such a preflight nothing is known, and nothing is refused.

    Args:
        entries: the ledger, oldest first.
    """
    for entry in reversed(entries):
        if entry.step == "preflight":
            return entry.digest == digest
        if entry.step == "cleanup" or (entry.step == "deploy" and entry.status == "finished"):
            return False
    return False


def _blocks(check: Check) -> bool:
    """Return False for a check that learned nothing, such as one with expired credentials, and for
    the deployment's own cluster that AWS could not create, or is deleting: a deploy that continues
    replaces the first and waits for the second."""
    return not any(kind.has_code(check.code) for kind in (CredentialsError, Unreachable, Leftover))


def _described(check: Check) -> str:
    needed = f" (needed: {check.needed})" if check.needed else ""
    return f"{check.name}: {check.found}{needed}"
