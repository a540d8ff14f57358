"""Regions by criteria."""

from __future__ import annotations

from matplotlib.patches import Rectangle

from jarkkit.pictures.base import Picture, figure_of, picture_of
from jarkkit.survey import Survey, shown


def region_map(survey: Survey) -> Picture:
    """Regions by criteria: a colour and a word for each answer, the best Region on top."""
    columns = shown.criteria(survey)
    rows = [(row.region, shown.cells(survey, row)) for row in survey.regions]
    figure = figure_of(height=0.8 + 0.36 * max(len(rows), 1))
    axes = figure.add_subplot()
    for y, (_, cells) in enumerate(rows):
        for x, cell in enumerate(cells):
            colour = shown.COLOUR[cell.mark]
            axes.add_patch(Rectangle((x - 0.48, y - 0.45), 0.96, 0.9, color=colour, alpha=0.45))
            axes.text(x, y, cell.lines, ha="center", va="center", fontsize=6.5, clip_on=True)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xticks(range(len(columns)), columns, fontsize=8)
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(rows)), [region for region, _ in rows], fontsize=8)
    for label in axes.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() == survey.recommended else "normal")
    axes.tick_params(length=0)
    axes.set_frame_on(False)
    return picture_of(figure, _told(survey))


def _told(survey: Survey) -> str:
    will_do = ", ".join(survey.that_will_do()) or "none"
    count = f"{len(survey.regions)} Region{'' if len(survey.regions) == 1 else 's'}"
    return (
        f"Heat map of {count}. Those that have all that the deployment must "
        f"have, the best first: {will_do}. {shown.title(survey)}"
    )
