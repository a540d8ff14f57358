"""All quotas of a deployment, as people see them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from jarkkit.quotas.values import Fits, Row
from jarkkit.quotas.words import amount
from jarkkit.records import Record
from jarkkit.tables import Told, html_table

_HEADS = (
    "", "quota", "code", "at least", "at the limits", "in force", "in use", "free", "asked for",
)  # fmt: skip
_MARK: dict[Fits, str] = {"yes": "✔", "at the start": "!", "no": "✘", "unknown": "?"}


class QuotaTable(Told, Record):
    """Everything that a deployment needs of quotas.

    Attributes:
        strange: running instance types that fall under no quota known here.
        pending_unknown, pending_code: why open requests could not be listed; empty where they
            could.
    """

    region: str
    rows: tuple[Row, ...]
    strange: tuple[str, ...] = ()
    pending_unknown: str = ""
    pending_code: str = ""

    def row(self, code: str) -> Row:
        """The row of a quota. Raises KeyError."""
        for row in self.rows:
            if row.code == code:
                return row
        raise KeyError(code)

    @property
    def fits(self) -> bool:
        """False when a quota is too small to begin with."""
        return all(row.fits != "no" for row in self.rows)

    @property
    def summary(self) -> str:
        """In one line."""
        counts = {fit: sum(row.fits == fit for row in self.rows) for fit in _MARK}
        said: dict[Fits, str] = {
            "no": "too small",
            "at the start": "enough to begin with",
            "yes": "enough up to the limits",
            "unknown": "not known",
        }
        parts = ", ".join(f"{counts[fit]} {word}" for fit, word in said.items() if counts[fit])
        return f"Quotas in {self.region}: {parts}."

    def text(self) -> str:
        """For a terminal."""
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
                amount(row.least),
                amount(row.most),
                amount(row.quota),
                _used(row),
                amount(row.free),
                f"{amount(row.pending.desired)} {row.pending.status}" if row.pending else "",
            )

    def _notes(self) -> Iterator[str]:
        dates = sorted(row.asked for row in self.rows if row.asked)
        if dates:
            yield f"Asked {dates[0]}. In use: all, of it this deployment's own in brackets."
        if self.strange:
            yield f"Not counted, for their quota is not known: {', '.join(self.strange)}."
        if self.pending_unknown:
            yield f"Open requests are not known: {self.pending_unknown}"


def _used(row: Row) -> str:
    return amount(row.used) + (f" ({amount(row.own)})" if row.own else "")
