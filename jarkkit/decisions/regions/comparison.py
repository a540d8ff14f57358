"""The comparison of Regions, as it is saved and shown."""

from __future__ import annotations

from jarkkit.decisions.regions import table
from jarkkit.decisions.regions.models import RankedRegions
from jarkkit.model.tables import TextRepr


class RegionComparison(TextRepr, RankedRegions):
    """The results of all Regions, the best first. Shows itself as a table."""

    def text(self) -> str:
        """Return the recommendation and a line per Region, for a terminal."""
        return table.text(self)

    def _repr_html_(self) -> str:
        return table.html(self)
