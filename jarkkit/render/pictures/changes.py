"""A plan by area, and the timeline of resources and add-ons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from jarkkit.decisions.terraform_messages import short_address
from jarkkit.model.account_ids import mask_account_ids
from jarkkit.model.records import ACTION_WORDS, ACTIONS, Action, Event, Plan, ResourceChange
from jarkkit.render.palette import ACTION_HUE
from jarkkit.render.pictures.bars import Axis, Bar, Bars, Row, bar_chart
from jarkkit.render.pictures.base import Picture, picture_of

_LONGEST = 24


def plan_map(plan: Plan) -> Picture:
    """Draw a plan: a bar per area, a color per action."""
    by_area = plan.by_area()
    used = list(plan.by_action())
    rows = [_area_row(area, changes) for area, changes in by_area.items()]
    summary = ", ".join(f"{a} {_counted(changes)}" for a, changes in by_area.items()) or "nothing"
    return picture_of(
        bar_chart(
            [Bars(rows, Axis("resources"))],
            [(ACTION_HUE[a], f"{plan.count(a)} {ACTION_WORDS[a]}") for a in used],
        ),
        f"Resources that the plan changes, by area: {summary}.",
        ("Area", *(_capitalized(ACTION_WORDS[action]) for action in used), "Total"),
        [
            (area, *(str(_count(changes, action)) for action in used), str(len(changes)))
            for area, changes in by_area.items()
        ],
    )


def _area_row(area: str, changes: Sequence[ResourceChange]) -> Row:
    bars, left = [], 0
    for action in ACTIONS:
        if count := _count(changes, action):
            bars.append(Bar(left, count, ACTION_HUE[action]))
            left += count
    return Row(area, tuple(bars), str(left))


def _count(changes: Iterable[ResourceChange], action: Action) -> int:
    return sum(change.action == action for change in changes)


def _capitalized(words: str) -> str:
    return words[:1].upper() + words[1:]


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
    by_length = sorted(spans, key=lambda span: -span.seconds)
    shown = sorted(by_length[:_LONGEST], key=lambda span: (span.start, span.subject))
    rows = [_span_row(span) for span in shown]
    outcomes = list(dict.fromkeys(span.outcome for span in shown))
    slowest = ", ".join(f"{_label(s.subject)} {s.seconds:.0f} s" for s in by_length[:3])
    return picture_of(
        bar_chart([Bars(rows, Axis(title))], [(ACTION_HUE[o], o) for o in outcomes]),
        f"Timeline of {len(spans)} resources and add-ons. The longest: {slowest or 'none'}.",
        ("Resource or add-on", "Action", "Start (s)", "Duration (s)"),
        [(_label(s.subject), s.outcome, f"{s.start:.0f}", f"{s.seconds:.0f}") for s in shown],
    )


def _span_row(span: _Span) -> Row:
    bar = Bar(span.start, span.seconds, ACTION_HUE[span.outcome])
    return Row(_label(span.subject), (bar,), f"{span.seconds:.0f} s")


def _label(subject: str) -> str:
    """Return a label without account ids, because people share pictures."""
    return mask_account_ids(short_address(subject))


class _Span(NamedTuple):
    """When a resource or an add-on was in progress, in seconds since the first one."""

    subject: str
    start: float
    seconds: float
    outcome: Action | Literal["failed"]


def _spans(events: Iterable[Event]) -> list[_Span]:
    """Return the span of every resource and add-on that ended."""
    starts: dict[str, float] = {}
    spans: list[_Span] = []
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
            outcome = "failed" if event.status == "failed" else event.action or "create"
            spans.append(_Span(event.subject, begin, moment - first - begin, outcome))
    return [span for span in spans if span.outcome in ACTION_HUE]


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()
