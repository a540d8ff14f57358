"""What a saved notebook says where no HTML is drawn."""

from __future__ import annotations

import pytest
from IPython.lib.pretty import pretty

from jarkkit.checks import Check, Report
from jarkkit.durations.whole import times
from jarkkit.settings import Settings
from jarkkit.steps.use import available, pages
from jarkkit.ui.html import Words, table

REPORT = Report(
    title="Does it work?",
    checks=(Check(name="Cluster", status="fail", found="CREATING", fix="Wait."),),
)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (REPORT, "fix: Wait."),
        (times(Settings()), "EKS control plane"),
        (available(Settings()), "hello-workflow"),
        (pages(Settings()), "jarkkit use open grafana"),
    ],
    ids=["a report", "times", "examples", "pages"],
)
def test_a_value_reads_as_on_the_command_line(value: object, words: str) -> None:
    said = pretty(value)
    assert words in said
    assert f"{type(value).__name__}(" not in said


def test_html_reads_as_its_words() -> None:
    assert repr(table(("Left", "Id"), [("a<b", "1")], "One & all.")) == (
        "Left  Id\na<b  1\nOne & all."
    )
    assert repr(Words("<p><strong>demo</strong>: new.<br>Next: <code>x</code></p>")) == (
        "demo: new.\nNext: x"
    )
