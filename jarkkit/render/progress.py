"""A step's progress as HTML and text: in parts while it runs, as a summary when it has ended. Pure.

Colors are few and never the only sign. Text and lines inherit the page's color, so that light and
dark themes both work.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from jarkkit.decisions.step_progress import ProgressItem, ProgressProblem, StepProgress
from jarkkit.render.markup import duration
from jarkkit.render.palette import STATUS_COLOR

_ROWS = 60  # more than a screen shows; the log has all of them
_LONGEST = 12
_SIGN = {"running": "…", "done": "✔", "failed": "✘", "stopped": "■"}
_TONE = {
    "running": STATUS_COLOR["unknown"],
    "done": STATUS_COLOR["pass"],
    "failed": STATUS_COLOR["fail"],
}
_VERDICT = {None: "running", "done": "done", "failed": "failed", "stopped": "stopped"}
_LEFT = "text-align:left;padding:1px 12px 1px 0"
_RIGHT = "text-align:right;padding:1px 12px 1px 0;font-variant-numeric:tabular-nums"
_TRACK = "height:10px;border-radius:5px;background:#8884;overflow:hidden;max-width:40rem"


def status_line(progress: StepProgress, now: float) -> str:
    """Return the status line: step, progress, elapsed time and time left."""
    return (
        f"<div style='line-height:1.6'><strong>{escape(_title(progress))}</strong> · "
        f"{escape(_times(progress, now))}</div>{_bar(progress)}{_phases(progress, now)}"
    )


def table(progress: StepProgress, now: float) -> str:
    """Return the table of resources and add-ons, the most urgent first."""
    items = progress.sorted_items(now)
    if not items:
        return ""
    more = (
        f"<p>and {len(items) - _ROWS} more that finished earlier</p>" if len(items) > _ROWS else ""
    )
    return _table(items[:_ROWS], now) + more


def problems(progress: StepProgress) -> str:
    """Return the errors and warnings with code and fix, then the latest message."""
    shown = "".join(map(_problem, progress.problems[:8]))
    if len(progress.problems) > 8:
        shown += f"<p>and {len(progress.problems) - 8} more, in the log</p>"
    message = escape(progress.message) if progress.message and progress.outcome is None else ""
    return shown + (f"<div style='opacity:.8'>{message}</div>" if message else "")


def log(lines: list[str]) -> str:
    """Return log lines as preformatted text."""
    return (
        "<pre style='font-size:11px;line-height:1.4;margin:0;white-space:pre-wrap'>"
        f"{escape(chr(10).join(lines))}</pre>"
    )


def summary(progress: StepProgress, now: float) -> str:
    """Return the summary that stays in the saved notebook."""
    longest = sorted(progress.items.values(), key=lambda item: -item.elapsed(now))[:_LONGEST]
    below = (
        f"<details><summary>{_longest_title(progress, longest)}</summary>"
        f"{_table(longest, now)}</details>"
        if longest
        else ""
    )
    return f"<div>{status_line(progress, now)}{problems(progress)}{below}</div>"


def text(progress: StepProgress, now: float) -> str:
    """Return the summary as plain text."""
    return "\n".join(_text(progress, now))


# -- parts -----------------------------------------------------------------------------------------


def _title(progress: StepProgress) -> str:
    return f"{progress.step or 'step'}: {_VERDICT[progress.outcome]}"


def _times(progress: StepProgress, now: float) -> str:
    elapsed = duration(progress.elapsed(now))
    done, total = progress.count()
    counted = f"{done} of {total}" if total else ""
    if progress.outcome is not None:
        return ", ".join(word for word in (counted, f"took {elapsed}") if word)
    left = progress.seconds_left(now)
    about = f"about {_roughly(left)} left" if left is not None else ""
    then = f"then {come}" if (come := progress.pending_text()) else ""
    return ", ".join(word for word in (counted, elapsed, about, then) if word)


def _roughly(seconds: float) -> str:
    return duration(seconds) if seconds < 120 else f"{seconds / 60:.0f} min"


def _bar(progress: StepProgress) -> str:
    done, total = progress.count()
    if not total:
        return ""
    percent = round(100 * done / total)
    color = _TONE.get(progress.outcome or "running", STATUS_COLOR["warn"])
    return (
        f"<div role='progressbar' aria-valuemin='0' aria-valuemax='{total}' "
        f"aria-valuenow='{done}' aria-label='{done} of {total} done' style='{_TRACK}'>"
        f"<div style='width:{percent}%;height:100%;background:{color}'></div></div>"
    )


def _phases(progress: StepProgress, now: float) -> str:
    shown = " → ".join(escape(word) for word in _phase_words(progress, now))
    return f"<div style='line-height:1.6;opacity:.85'>{shown}</div>" if shown else ""


def _phase_words(progress: StepProgress, now: float) -> Iterator[str]:
    for phase in progress.phases:
        message = f" ({phase.message})" if phase.message else ""
        yield f"{_SIGN[phase.state]} {phase.name}{message} {duration(phase.elapsed(now))}"


def _table(items: list[ProgressItem], now: float) -> str:
    cells = "".join(
        f"<th scope='col' style='{style}'>{word}</th>"
        for style, word in ((_LEFT, "State"), (_LEFT, "Name"), (_RIGHT, "Seconds"), (_LEFT, ""))
    )
    head = f"<thead><tr>{cells}</tr></thead>"
    rows = "".join(_row(item, now) for item in items)
    return f"<table style='line-height:1.4'>{head}<tbody>{rows}</tbody></table>"


def _row(item: ProgressItem, now: float) -> str:
    tone = _TONE.get(item.state, "inherit")
    return (
        f"<tr><td style='{_LEFT};white-space:nowrap'><span style='color:{tone}'>"
        f"{_SIGN[item.state]}</span> {item.status_text}</td>"
        f"<td style='{_LEFT}'>{escape(item.name)}</td>"
        f"<td style='{_RIGHT}'>{item.elapsed(now):.0f}</td>"
        f"<td style='{_LEFT};opacity:.85'>{escape(item.message[:160])}</td></tr>"
    )


def _problem(problem: ProgressProblem) -> str:
    color = STATUS_COLOR["fail" if problem.is_error else "warn"]
    code = f"<code>{escape(problem.code)}</code> " if problem.code else ""
    fix = f"<br><em>Fix:</em> {escape(problem.fix)}" if problem.fix else ""
    sign = "✘" if problem.is_error else "!"
    return (
        f"<div style='border-left:4px solid {color};padding:2px 10px;margin:6px 0'>"
        f"{sign} {code}{escape(problem.message[:600])}{fix}</div>"
    )


def _longest_title(progress: StepProgress, longest: list[ProgressItem]) -> str:
    if len(longest) < len(progress.items):
        return f"The {len(longest)} of {len(progress.items)} that took longest"
    return f"{len(longest)} resources and add-ons"


def _text(progress: StepProgress, now: float) -> Iterator[str]:
    yield f"{_title(progress)} ({_times(progress, now)})"
    yield from (f"  {words}" for words in _phase_words(progress, now))
    for problem in progress.problems[:8]:
        sign = "✘" if problem.is_error else "!"
        yield "  " + " ".join(filter(None, (sign, problem.code, problem.message[:600])))
        if problem.fix:
            yield f"      fix: {problem.fix}"
