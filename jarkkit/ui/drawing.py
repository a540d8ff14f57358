"""A step's progress drawn: in parts while it lasts, as a summary when it has ended. Pure.

Colours are few and never the only sign; text and lines take the page's own colour, so that light
and dark themes both work.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from jarkkit.checks import COLOUR
from jarkkit.ui.html import span
from jarkkit.ui.progress import Item, Progress, Trouble

_ROWS = 60  # more than fit on a screen; the log has all
_LONGEST = 12
_SIGN = {"running": "…", "done": "✔", "failed": "✘", "stopped": "■"}
_TONE = {"running": COLOUR["unknown"], "done": COLOUR["pass"], "failed": COLOUR["fail"]}
_VERDICT = {None: "under way", "done": "done", "failed": "failed", "stopped": "stopped"}
_LEFT = "text-align:left;padding:1px 12px 1px 0"
_RIGHT = "text-align:right;padding:1px 12px 1px 0;font-variant-numeric:tabular-nums"
_TRACK = "height:10px;border-radius:5px;background:#8884;overflow:hidden;max-width:40rem"


def head(progress: Progress, now: float) -> str:
    """What is done, for how long, how far, and how long it will take."""
    return (
        f"<div style='line-height:1.6'><strong>{escape(_title(progress))}</strong> · "
        f"{escape(_times(progress, now))}</div>{_bar(progress)}{_phases(progress, now)}"
    )


def table(progress: Progress, now: float) -> str:
    """The resources and add-ons, those that matter now first."""
    items = progress.in_order(now)
    if not items:
        return ""
    more = f"<p>and {len(items) - _ROWS} more, done before</p>" if len(items) > _ROWS else ""
    return _table(items[:_ROWS], now) + more


def troubles(progress: Progress) -> str:
    """What went wrong, or may, with its code and what to do."""
    shown = "".join(map(_trouble, progress.troubles[:8]))
    if len(progress.troubles) > 8:
        shown += f"<p>and {len(progress.troubles) - 8} more, in the log</p>"
    said = escape(progress.message) if progress.message and progress.outcome is None else ""
    return shown + (f"<div style='opacity:.8'>{said}</div>" if said else "")


def log(lines: list[str]) -> str:
    """Lines as they were written."""
    return (
        "<pre style='font-size:11px;line-height:1.4;margin:0;white-space:pre-wrap'>"
        f"{escape(chr(10).join(lines))}</pre>"
    )


def summary(progress: Progress, now: float) -> str:
    """What stays in the saved notebook."""
    longest = sorted(progress.items.values(), key=lambda item: -item.lasted(now))[:_LONGEST]
    below = (
        f"<details><summary>{_longest_title(progress, longest)}</summary>"
        f"{_table(longest, now)}</details>"
        if longest
        else ""
    )
    return f"<div>{head(progress, now)}{troubles(progress)}{below}</div>"


def text(progress: Progress, now: float) -> str:
    """The same in plain words."""
    return "\n".join(_text(progress, now))


# -- parts -----------------------------------------------------------------------------------------


def _title(progress: Progress) -> str:
    return f"{progress.step or 'step'}: {_VERDICT[progress.outcome]}"


def _times(progress: Progress, now: float) -> str:
    elapsed = span(progress.elapsed(now))
    done, total = progress.count()
    counted = f"{done} of {total}" if total else ""
    if progress.outcome is not None:
        return ", ".join(word for word in (counted, f"took {elapsed}") if word)
    left = progress.seconds_left(now)
    about = f"about {_roughly(left)} left" if left is not None else ""
    then = f"then {come}" if (come := progress.to_come()) else ""
    return ", ".join(word for word in (counted, elapsed, about, then) if word)


def _roughly(seconds: float) -> str:
    return span(seconds) if seconds < 120 else f"{seconds / 60:.0f} min"


def _bar(progress: Progress) -> str:
    done, total = progress.count()
    if not total:
        return ""
    percent = round(100 * done / total)
    colour = _TONE.get(progress.outcome or "running", COLOUR["warn"])
    return (
        f"<div role='progressbar' aria-valuemin='0' aria-valuemax='{total}' "
        f"aria-valuenow='{done}' aria-label='{done} of {total} done' style='{_TRACK}'>"
        f"<div style='width:{percent}%;height:100%;background:{colour}'></div></div>"
    )


def _phases(progress: Progress, now: float) -> str:
    shown = " → ".join(escape(word) for word in _phase_words(progress, now))
    return f"<div style='line-height:1.6;opacity:.85'>{shown}</div>" if shown else ""


def _phase_words(progress: Progress, now: float) -> Iterator[str]:
    for phase in progress.phases:
        said = f" ({phase.message})" if phase.message else ""
        yield f"{_SIGN[phase.state]} {phase.name}{said} {span(phase.lasted(now))}"


def _table(items: list[Item], now: float) -> str:
    cells = "".join(
        f"<th scope='col' style='{style}'>{word}</th>"
        for style, word in ((_LEFT, "State"), (_LEFT, "What"), (_RIGHT, "Seconds"), (_LEFT, ""))
    )
    head = f"<thead><tr>{cells}</tr></thead>"
    rows = "".join(_row(item, now) for item in items)
    return f"<table style='line-height:1.4'>{head}<tbody>{rows}</tbody></table>"


def _row(item: Item, now: float) -> str:
    tone = _TONE.get(item.state, "inherit")
    return (
        f"<tr><td style='{_LEFT};white-space:nowrap'><span style='color:{tone}'>"
        f"{_SIGN[item.state]}</span> {item.word}</td>"
        f"<td style='{_LEFT}'>{escape(item.name)}</td>"
        f"<td style='{_RIGHT}'>{item.lasted(now):.0f}</td>"
        f"<td style='{_LEFT};opacity:.85'>{escape(item.message[:160])}</td></tr>"
    )


def _trouble(trouble: Trouble) -> str:
    colour = COLOUR["fail" if trouble.grave else "warn"]
    code = f"<code>{escape(trouble.code)}</code> " if trouble.code else ""
    fix = f"<br><em>Fix:</em> {escape(trouble.fix)}" if trouble.fix else ""
    sign = "✘" if trouble.grave else "!"
    return (
        f"<div style='border-left:4px solid {colour};padding:2px 10px;margin:6px 0'>"
        f"{sign} {code}{escape(trouble.message[:600])}{fix}</div>"
    )


def _longest_title(progress: Progress, longest: list[Item]) -> str:
    if len(longest) < len(progress.items):
        return f"The {len(longest)} of {len(progress.items)} that took longest"
    return f"{len(longest)} resources and add-ons"


def _text(progress: Progress, now: float) -> Iterator[str]:
    yield f"{_title(progress)} ({_times(progress, now)})"
    yield from (f"  {words}" for words in _phase_words(progress, now))
    for trouble in progress.troubles[:8]:
        sign = "✘" if trouble.grave else "!"
        yield "  " + " ".join(filter(None, (sign, trouble.code, trouble.message[:600])))
        if trouble.fix:
            yield f"      fix: {trouble.fix}"
