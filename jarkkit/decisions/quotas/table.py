"""The table of a deployment's quotas. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from jarkkit.decisions.quotas.formatting import format_amount
from jarkkit.decisions.quotas.models import Fits, QuotaRow
from jarkkit.model.records import Record
from jarkkit.model.tables import TextRepr, html_table

_HEADS = (
    "", "quota", "code", "minimum", "at the limits", "applied", "in use", "free", "requested",
)  # fmt: skip
_MARK: dict[Fits, str] = {"yes": "✔", "at the start": "!", "no": "✘", "unknown": "?"}


class QuotaTable(TextRepr, Record):
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
        counts = {fit: sum(row.fits == fit for row in self.rows) for fit in _MARK}
        labels: dict[Fits, str] = {
            "no": "too small",
            "at the start": "enough to start",
            "yes": "enough for the limits",
            "unknown": "unknown",
        }
        parts = ", ".join(f"{counts[fit]} {label}" for fit, label in labels.items() if counts[fit])
        return f"Quotas in {self.region}: {parts}."

    def text(self) -> str:
        """Return the table for a terminal."""
        lines = [_HEADS, *self._cells()]
        widths = [max(len(line[n]) for line in lines) for n in range(len(_HEADS))]
        shown = (
            "  ".join(
                cell.ljust(width) if n < 3 else cell.rjust(width)
                for n, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )
        return "\n".join([self.summary, *shown, *self._notes()])

    def _repr_html_(self) -> str:
        return html_table(_HEADS, self._cells(), title=self.summary, notes=self._notes())

    def _cells(self) -> Iterator[tuple[str, ...]]:
        for row in self.rows:
            each = f" (per {row.each})" if row.each and " per " not in row.name else ""
            yield (
                _MARK[row.fits],
                f"{row.name}{each}",
                f"{row.service} {row.code}",
                format_amount(row.least),
                format_amount(row.most),
                format_amount(row.quota),
                _used(row),
                format_amount(row.free),
                f"{format_amount(row.pending.desired)} {row.pending.status}" if row.pending else "",
            )

    def _notes(self) -> Iterator[str]:
        dates = sorted(row.asked for row in self.rows if row.asked)
        if dates:
            yield f"Values of {dates[0]}. In use: all usage, with this deployment's in brackets."
        if self.strange:
            yield f"Not counted, because their quota is unknown: {', '.join(self.strange)}."
        if self.pending_unknown:
            yield f"Open quota increase requests are unknown: {self.pending_unknown}"


def _used(row: QuotaRow) -> str:
    return format_amount(row.used) + (f" ({format_amount(row.own)})" if row.own else "")
