"""The table of a deployment's quotas. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from jarkkit.decisions.quotas.models import Fits, QuotaRow
from jarkkit.model.records import Record


class QuotaTable(Record):
    """All quotas that a deployment requires.

    Attributes:
        strange: running instance types whose quota is unknown.
        pending_unknown, pending_code: reason and error code, if the open quota increase requests
            could not be listed; empty otherwise.
    """

    region: str
    rows: tuple[QuotaRow, ...]
    strange: tuple[str, ...] = ()
    pending_unknown: str = ""
    pending_code: str = ""

    def row(self, code: str) -> QuotaRow:
        """Return the row of a quota. Raises KeyError."""
        for row in self.rows:
            if row.code == code:
                return row
        raise KeyError(code)

    @property
    def fits(self) -> bool:
        """False if a quota is too small for the deployment to start."""
        return all(row.fits != "no" for row in self.rows)

    @property
    def summary(self) -> str:
        """The result in one line."""
        labels: dict[Fits, str] = {
            "no": "too small",
            "at the start": "enough to start",
            "yes": "enough for the limits",
            "unknown": "unknown",
        }
        counts = {fit: sum(row.fits == fit for row in self.rows) for fit in labels}
        parts = ", ".join(f"{counts[fit]} {label}" for fit, label in labels.items() if counts[fit])
        return f"Quotas in {self.region}: {parts}."

    def notes(self) -> Iterator[str]:
        """Yield when the values were read, and what is unknown."""
        dates = sorted(row.asked for row in self.rows if row.asked)
        if dates:
            yield f"Values of {dates[0]}. In use: all usage, with this deployment's in brackets."
        if self.strange:
            yield f"Not counted, because their quota is unknown: {', '.join(self.strange)}."
        if self.pending_unknown:
            yield f"Open quota increase requests are unknown: {self.pending_unknown}"
