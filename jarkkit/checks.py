"""`Check` and `Report`: one shape for every question the kit asks of the world.

Preflight, verify, diagnose and the cleanup receipt all answer with a `Report`, and it is rendered
here and nowhere else: as text for a terminal, as HTML for a notebook, as JSON for programs. For
people the verdict comes first, then what failed, what to know and what is unknown, each with its
remedy; what is well comes last and briefly.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from html import escape
from typing import Literal

from pydantic import BaseModel, ConfigDict

from jarkkit.errors import JarkkitError
from jarkkit.tables import Told

Status = Literal["pass", "warn", "fail", "unknown", "skip"]

SYMBOL: dict[Status, str] = {"pass": "✔", "warn": "!", "fail": "✘", "unknown": "?", "skip": "-"}
# Colours of the Okabe-Ito palette: told apart with any colour vision; the symbol says it too.
COLOUR: dict[Status, str] = {
    "pass": "#009e73",
    "warn": "#e69f00",
    "fail": "#d55e00",
    "unknown": "#56b4e9",
    "skip": "#999999",
}
_WORD: dict[Status, str] = {
    "fail": "failed",
    "warn": "to know",
    "unknown": "unknown",
    "pass": "passed",
    "skip": "not needed",
}
# What a reader must look at, the gravest first.
_FINDINGS: tuple[Status, ...] = ("fail", "warn", "unknown")
# What is told briefly.
_REST: tuple[Status, ...] = ("pass", "skip")
_WIDTH = 100


class Check(BaseModel):
    """One question and its answer.

    `unknown` means that the question could not be answered (no permission, throttled): it is never
    counted as a pass or as a failure.

    Attributes:
        found: the evidence.
        link: where to read or to do more.
        group: what it is about; checks of one group are shown together.
        follows: what is wrong because of this, a line each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    status: Status
    found: str = ""
    needed: str = ""
    why: str = ""
    fix: str = ""
    code: str = ""
    link: str = ""
    group: str = ""
    follows: tuple[str, ...] = ()


class Report(Told, BaseModel):
    """The answers to one step's questions, in the order they were asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    def count(self, status: Status) -> int:
        """How many checks have this status."""
        return sum(check.status == status for check in self.checks)

    @property
    def ok(self) -> bool:
        """True when nothing failed; warnings and unknowns do not fail a report."""
        return self.count("fail") == 0

    @property
    def verdict(self) -> str:
        """The report in one line."""
        counts = {status: self.count(status) for status in _WORD if status != "skip"}
        parts = [f"{count} {_WORD[status]}" for status, count in counts.items() if count]
        if not parts:
            return f"{self.title} Nothing was checked."
        return f"{self.title} {self._answer()}: {', '.join(parts)}."

    def _answer(self) -> str:
        if not self.ok:
            return "No"
        if not self.count("unknown"):
            return "Yes"
        answered = self.count("pass") or self.count("warn")
        return "Yes, as far as could be asked" if answered else "Not known"

    def failures(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return self._having("fail")

    def must_pass(self, code: str) -> None:
        """Raise the error of that code, with every failed check and its fix, unless all is well."""
        if self.ok:
            return
        failed = self.failures()
        fixes = [f"{check.name}: {check.fix}" for check in failed if check.fix]
        raise JarkkitError(
            code,
            f"{self.title} No: {', '.join(check.name for check in failed)}.",
            " ".join(fixes[:3]) or "Look at the report above.",
        )

    def text(self) -> str:
        """For a terminal."""
        findings = (_text_of_finding(check) for status in _FINDINGS for check in self._told(status))
        lines = [line for finding in findings for line in finding]
        lines += [line for status in _REST for line in _brief(self._having(status))]
        return "\n".join([self.verdict, *lines, *self.notes])

    def _repr_html_(self) -> str:
        findings = [check for status in _FINDINGS for check in self._told(status)]
        rest = [check for status in _REST for check in self._having(status)]
        colour = COLOUR["pass" if self.ok else "fail"]
        parts = [f'<p><strong style="color:{colour}">{escape(self.verdict)}</strong></p>']
        if findings:
            parts.append(_table(map(_html_row, findings)))
        if rest:
            words = ", ".join(f"{self.count(s)} {_WORD[s]}" for s in _REST if self.count(s))
            table = _table(_html_groups(rest))
            parts.append(f"<details><summary>{words}</summary>{table}</details>")
        return "".join([*parts, *(f"<p>{escape(note)}</p>" for note in self.notes)])

    def _having(self, status: Status) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.status == status)

    def _told(self, status: Status) -> tuple[Check, ...]:
        """Those of a status as they are told: one for all that have the same reason."""
        told: dict[tuple[str, ...], Check] = {}
        for check in self._having(status):
            own = {"name", "group"} if check.fix else {"group"}
            same = tuple(check.model_dump(exclude=own).values())
            names = [told[same].name, check.name] if same in told else [check.name]
            told[same] = check.model_copy(update={"name": ", ".join(names)})
        return tuple(told.values())


def grouped(group: str, checks: Iterable[Check]) -> tuple[Check, ...]:
    """The checks, as being about that."""
    return tuple(check.model_copy(update={"group": group}) for check in checks)


def _by(key: Literal["group", "found"], checks: Iterable[Check]) -> dict[str, list[Check]]:
    found: dict[str, list[Check]] = {}
    for check in checks:
        found.setdefault(getattr(check, key), []).append(check)
    return found


# -- text ------------------------------------------------------------------------------------------


def _text_of_finding(check: Check) -> Iterator[str]:
    needed = f" (needed: {check.needed})" if check.needed else ""
    code = f" [{check.code}]" if check.code else ""
    head = f"{check.name}: {check.found or check.status}{needed}{code}"
    yield from _wrapped(head, f"  {SYMBOL[check.status]} ")
    for word, said in (("why", check.why), ("fix", check.fix), ("see", check.link)):
        if said:
            yield f"      {word}: {said}"
    yield from (f"      so: {line}" for line in check.follows)


def _brief(checks: Iterable[Check]) -> Iterator[str]:
    """A paragraph per group; what is the same of several is said once."""
    for group, members in _by("group", checks).items():
        said = "; ".join(
            f"{', '.join(check.name for check in same)}{f': {found}' if found else ''}"
            for found, same in _by("found", members).items()
        )
        mark = f"  {SYMBOL[members[0].status]} "
        yield from _wrapped(f"{group}. {said}" if group else said, mark)


def _wrapped(text: str, mark: str) -> list[str]:
    indent = " " * len(mark)
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=mark,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


# -- HTML ------------------------------------------------------------------------------------------


def _table(rows: Iterable[str]) -> str:
    words = ("", "Check", "Found", "Needed", "Why and what to do")
    head = "".join(f'<th scope="col" style="text-align:left">{word}</th>' for word in words)
    return (
        f'<table class="jarkkit-report"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _html_groups(checks: Iterable[Check]) -> Iterator[str]:
    for group, members in _by("group", checks).items():
        if group:
            yield (
                '<tr><th colspan="5" scope="rowgroup" style="text-align:left">'
                f"{escape(group)}</th></tr>"
            )
        yield from map(_html_row, members)


def _html_row(check: Check) -> str:
    advice = [escape(check.why)] if check.why else []
    if check.status in _FINDINGS and check.fix:
        advice.append(f"<em>Fix:</em> {escape(check.fix)}")
    if check.code:
        advice.append(f"<code>{escape(check.code)}</code>")
    if check.link:
        advice.append(_html_link(check.link))
    if check.follows:
        lines = "".join(f"<li>{escape(line)}</li>" for line in check.follows)
        advice.append(f"and so:<ul>{lines}</ul>")
    mark = (
        f'<td style="color:{COLOUR[check.status]};font-weight:bold" title="{check.status}">'
        f'{SYMBOL[check.status]} <span class="jarkkit-status">{check.status}</span></td>'
    )
    cells = (check.name, check.found, check.needed)
    middle = "".join(f'<td style="text-align:left">{escape(cell)}</td>' for cell in cells)
    return f'<tr>{mark}{middle}<td style="text-align:left">{" · ".join(advice)}</td></tr>'


def _html_link(link: str) -> str:
    """A page of the kit's own documentation has no address that holds in every notebook."""
    if link.startswith("https://"):
        return f'<a href="{escape(link)}">more</a>'
    return f"see <code>{escape(link)}</code>"
