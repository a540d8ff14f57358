"""Asking AWS for more of a quota. Asking is never a part of another step."""

from __future__ import annotations

from jarkkit.aws import Account
from jarkkit.errors import JarkkitError
from jarkkit.quotas.table import QuotaTable
from jarkkit.quotas.values import Increase, Row
from jarkkit.quotas.words import amount, command_line
from jarkkit.records import Record


class Wish(Record):
    """A request to raise a quota, exactly as it would be sent.

    Attributes:
        desired: the new value: what all else uses and what the deployment needs at its limits,
            rounded up to a whole number.
        in_force: the value now.
        command: AWS CLI's line that sends the same.
    """

    service: str
    code: str
    name: str
    region: str
    desired: int
    in_force: float
    command: str

    def text(self) -> str:
        """What will be sent."""
        return (
            f"service {self.service}, quota {self.code} ({self.name}), Region {self.region}, "
            f"desired value {self.desired} (now {amount(self.in_force)})"
        )


class Filed(Record):
    """What became of a wish.

    Attributes:
        request: AWS' answer, or the request that was open already; None where AWS refused.
        before: it was open before.
        error: why AWS refused; None where it did not.
    """

    wish: Wish
    request: Increase | None = None
    before: bool = False
    error: dict[str, str] | None = None


def wishes(found: QuotaTable) -> tuple[Wish, ...]:
    """The requests that would help: for every quota that is too small now or at the limits, and for
    which none is open."""
    return tuple(_wish(row) for row in found.rows if _worth_it(row))


def ask_for(account: Account, wish: Wish) -> Filed:
    """Send it; AWS' refusal is in the answer."""
    try:
        request, before = account.quotas.ask_for(wish.service, wish.code, wish.region, wish.desired)
    except JarkkitError as error:
        return Filed(wish=wish, error=error.as_dict())
    return Filed(wish=wish, request=request, before=before)


def _worth_it(row: Row) -> bool:
    short = row.fits in ("no", "at the start")
    return short and row.desired is not None and row.pending is None


def _wish(row: Row) -> Wish:
    return Wish(
        service=row.service,
        code=row.code,
        name=row.name,
        region=row.region,
        desired=row.desired or 0,
        in_force=row.quota or 0,
        command=command_line(row),
    )
