"""`Check` and `Report`: one shape for every question the kit asks of the world.

Preflight, verify, diagnose and the cleanup receipt all answer with a `Report`, and it is rendered
here and nowhere else: as text for a terminal, as HTML for a notebook, as JSON for programs.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Literal

from pydantic import BaseModel, ConfigDict

from jarkkit.errors import JarkkitError

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


class Check(BaseModel):
    """One question and its answer.

    `unknown` means that the question could not be answered (no permission, throttled): it is never
    counted as a pass or as a failure.
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


class Report(BaseModel):
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
        if not self.checks:
            return f"{self.title}: nothing was checked"
        parts = [f"{self.count('pass')} of {len(self.checks)} passed"]
        words: dict[Status, str] = {"fail": "failed", "warn": "to know", "unknown": "unknown"}
        parts += [f"{self.count(s)} {word}" for s, word in words.items() if self.count(s)]
        return f"{self.title}: {'yes' if self.ok else 'no'} ({', '.join(parts)})"

    def failures(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.status == "fail")

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
        """For a terminal: the verdict, then a line per check, with the fix under what needs one."""
        return "\n".join([self.verdict, *_text_lines(self.checks), *self.notes])

    def _repr_html_(self) -> str:
        rows = "".join(_html_row(check) for check in self.checks)
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        head = "".join(
            f'<th scope="col" style="text-align:left">{word}</th>'
            for word in ("", "Check", "Found", "Needed", "Why and what to do")
        )
        return (
            f'<p><strong style="color:{COLOUR["pass" if self.ok else "fail"]}">'
            f"{escape(self.verdict)}</strong></p>"
            f'<table class="jarkkit-report"><thead><tr>{head}</tr></thead>'
            f"<tbody>{rows}</tbody></table>{notes}"
        )


def _text_lines(checks: Iterable[Check]) -> Iterable[str]:
    for check in checks:
        needed = f" (needed: {check.needed})" if check.needed else ""
        yield f"  {SYMBOL[check.status]} {check.name}: {check.found or check.status}{needed}"
        if check.status in ("fail", "warn", "unknown"):
            if check.why:
                yield f"      why: {check.why}"
            if check.fix:
                yield f"      fix: {check.fix}{f' [{check.code}]' if check.code else ''}"


def _html_row(check: Check) -> str:
    advice = [escape(check.why)] if check.why else []
    if check.status in ("fail", "warn", "unknown") and check.fix:
        advice.append(f"<em>Fix:</em> {escape(check.fix)}")
    if check.code:
        advice.append(f"<code>{escape(check.code)}</code>")
    if check.link:
        advice.append(f'<a href="{escape(check.link)}">more</a>')
    mark = (
        f'<td style="color:{COLOUR[check.status]};font-weight:bold" title="{check.status}">'
        f'{SYMBOL[check.status]} <span class="jarkkit-status">{check.status}</span></td>'
    )
    cells = (check.name, check.found, check.needed)
    middle = "".join(f'<td style="text-align:left">{escape(cell)}</td>' for cell in cells)
    return f'<tr>{mark}{middle}<td style="text-align:left">{" · ".join(advice)}</td></tr>'
