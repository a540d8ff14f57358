"""A plan by area, and the timeline of what was worked on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from matplotlib.patches import Patch

from jarkkit.masking import masked
from jarkkit.pictures.base import COLOUR, Picture, figure_of, picture_of, tidy
from jarkkit.records import AREAS, Action, Event, Plan
from jarkkit.terraform_messages import short_address

_WORD: dict[str, str] = {
    "create": "to create",
    "import": "to take over",
    "update": "to change",
    "replace": "to replace",
    "delete": "to destroy",
}
_ACTIONS: tuple[Action, ...] = ("create", "import", "update", "replace", "delete")
_LONGEST = 24


def plan_map(plan: Plan) -> Picture:
    """What a plan does, by area: a bar per area, a colour per action."""
    by_area = plan.by_area()
    areas = [area for area in AREAS if area in by_area]
    figure = figure_of(height=0.9 + 0.42 * max(len(areas), 1))
    axes = figure.add_subplot()
    for row, area in enumerate(areas):
        left = 0
        for action in _ACTIONS:
            count = sum(change.action == action for change in by_area[area])
            if count:
                axes.barh(row, count, left=left, color=COLOUR[action], height=0.7)
                left += count
        axes.text(left + 0.3, row, str(left), va="center", fontsize=9)
    axes.set_yticks(range(len(areas)), areas)
    axes.invert_yaxis()
    axes.set_xlabel("resources")
    tidy(axes)
    used = [a for a in _ACTIONS if plan.count(a)]
    if used:
        handles = [Patch(color=COLOUR[a], label=f"{plan.count(a)} {_WORD[a]}") for a in used]
        axes.legend(handles=handles, frameon=False, fontsize=9, loc="lower right")
    said = ", ".join(f"{area} {len(by_area[area])}" for area in areas) or "nothing"
    return picture_of(figure, f"Resources that the plan changes, by area: {said}.")


def timeline(events: Iterable[Event], title: str = "seconds") -> Picture:
    """When each resource and add-on was worked on: the longest ones, as they began."""
    spans = _spans(events)
    longest = sorted(sorted(spans, key=lambda s: -s[2])[:_LONGEST], key=lambda s: (s[1], s[0]))
    figure = figure_of(height=1.0 + 0.24 * max(len(longest), 1))
    axes = figure.add_subplot()
    for row, (_, begin, seconds, colour) in enumerate(longest):
        axes.barh(row, max(seconds, 0.2), left=begin, color=COLOUR[colour], height=0.7)
    axes.set_yticks(range(len(longest)), [_label(s[0]) for s in longest], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel(title)
    tidy(axes)
    said = ", ".join(f"{_label(s[0])} {s[2]:.0f} s" for s in sorted(spans, key=lambda s: -s[2])[:3])
    return picture_of(
        figure, f"Timeline of {len(spans)} resources and add-ons. The longest: {said or 'none'}."
    )


def _label(subject: str) -> str:
    """What was worked on. Nobody can take an account id out of a picture afterwards."""
    return masked(short_address(subject))


def _spans(events: Iterable[Event]) -> list[tuple[str, float, float, str]]:
    """Address, beginning, duration (seconds) and colour of everything that was worked on."""
    begun: dict[str, float] = {}
    spans: list[tuple[str, float, float, str]] = []
    first: float | None = None
    for event in events:
        if event.kind not in ("resource", "addon"):
            continue
        moment = _seconds(event.time)
        first = moment if first is None else first
        if event.status == "started":
            begun[event.subject] = moment - first
        elif event.status in ("done", "failed") and event.subject in begun:
            begin = begun.pop(event.subject)
            colour = "failed" if event.status == "failed" else str(event.action or "create")
            spans.append((event.subject, begin, moment - first - begin, colour))
    return [span for span in spans if span[3] in COLOUR]


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()
