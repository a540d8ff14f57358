"""A plan by area, and the timeline of resources and add-ons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from matplotlib.patches import Patch

from jarkkit.decisions.terraform_messages import short_address
from jarkkit.model.account_ids import mask_account_ids
from jarkkit.model.records import ACTION_WORDS, ACTIONS, AREAS, Event, Plan, ResourceChange
from jarkkit.render.pictures.base import COLOR, Picture, figure_of, picture_of, tidy

_LONGEST = 24


def plan_map(plan: Plan) -> Picture:
    """Draw a plan: a bar per area, a color per action."""
    by_area = plan.by_area()
    areas = [area for area in AREAS if area in by_area]
    figure = figure_of(height=0.9 + 0.42 * max(len(areas), 1))
    axes = figure.add_subplot()
    for row, area in enumerate(areas):
        left = 0
        for action in ACTIONS:
            count = sum(change.action == action for change in by_area[area])
            if count:
                axes.barh(row, count, left=left, color=COLOR[action], height=0.7)
                left += count
        axes.text(left + 0.3, row, str(left), va="center", fontsize=9)
    axes.set_yticks(range(len(areas)), areas)
    axes.invert_yaxis()
    axes.set_xlabel("resources")
    tidy(axes)
    used = list(plan.by_action())
    if used:
        handles = [Patch(color=COLOR[a], label=f"{plan.count(a)} {ACTION_WORDS[a]}") for a in used]
        axes.legend(handles=handles, frameon=False, fontsize=9, loc="lower right")
    summary = ", ".join(f"{area} {_counted(by_area[area])}" for area in areas) or "nothing"
    return picture_of(figure, f"Resources that the plan changes, by area: {summary}.")


def _counted(changes: Sequence[ResourceChange]) -> str:
    """Return how many resources an area has, and per action where they are not all new."""
    counts = Counter(change.action for change in changes)
    if set(counts) == {"create"}:
        return str(len(changes))
    parts = [f"{counts[action]} {ACTION_WORDS[action]}" for action in ACTIONS if counts[action]]
    return f"{len(changes)} ({', '.join(parts)})"


def timeline(events: Iterable[Event], title: str = "seconds") -> Picture:
    """Draw when each resource and add-on was in progress: the longest ones, by start time."""
    spans = _spans(events)
    longest = sorted(sorted(spans, key=lambda s: -s[2])[:_LONGEST], key=lambda s: (s[1], s[0]))
    figure = figure_of(height=1.0 + 0.24 * max(len(longest), 1))
    axes = figure.add_subplot()
    for row, (_, begin, seconds, color) in enumerate(longest):
        axes.barh(row, max(seconds, 0.2), left=begin, color=COLOR[color], height=0.7)
    axes.set_yticks(range(len(longest)), [_label(s[0]) for s in longest], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel(title)
    tidy(axes)
    slowest = ", ".join(
        f"{_label(s[0])} {s[2]:.0f} s" for s in sorted(spans, key=lambda s: -s[2])[:3]
    )
    return picture_of(
        figure, f"Timeline of {len(spans)} resources and add-ons. The longest: {slowest or 'none'}."
    )


def _label(subject: str) -> str:
    """Return a label without account ids: they cannot be removed from a picture later."""
    return mask_account_ids(short_address(subject))


def _spans(events: Iterable[Event]) -> list[tuple[str, float, float, str]]:
    """Return address, start, duration (seconds) and color key of every resource and add-on."""
    starts: dict[str, float] = {}
    spans: list[tuple[str, float, float, str]] = []
    first: float | None = None
    for event in events:
        if event.kind not in ("resource", "addon"):
            continue
        moment = _seconds(event.time)
        first = moment if first is None else first
        if event.status == "started":
            starts[event.subject] = moment - first
        elif event.status in ("done", "failed") and event.subject in starts:
            begin = starts.pop(event.subject)
            color = "failed" if event.status == "failed" else str(event.action or "create")
            spans.append((event.subject, begin, moment - first - begin, color))
    return [span for span in spans if span[3] in COLOR]


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()
