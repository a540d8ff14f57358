"""The text of a saved notebook where no HTML is rendered."""

from __future__ import annotations

import pytest
from IPython.lib.pretty import pretty

from jarkkit.decisions.durations.estimate import estimate_durations
from jarkkit.model.checks import Check, Report
from jarkkit.render.html import HtmlText, table_with_note
from jarkkit.settings import Settings
from jarkkit.steps.use import examples, web_endpoints
from tests.support.stacks import resolved

REPORT = Report(
    title="Does it work?",
    checks=(Check(name="Cluster", status="fail", found="CREATING", fix="Wait."),),
)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (REPORT, "fix: Wait."),
        (estimate_durations(resolved(Settings())), "EKS control plane"),
        (examples(resolved(Settings())), "hello-workflow"),
        (web_endpoints(resolved(Settings())), "jarkkit use open grafana"),
    ],
    ids=["a report", "times", "examples", "web UIs"],
)
def test_a_value_has_the_text_of_the_command_line(value: object, words: str) -> None:
    text = pretty(value)
    assert words in text
    assert f"{type(value).__name__}(" not in text


def test_html_has_its_words_as_text() -> None:
    assert repr(table_with_note(("Left", "Id"), [("a<b", "1")], "One & all.")) == (
        "Left  Id\na<b  1\nOne & all."
    )
    assert repr(HtmlText("<p><strong>demo</strong>: new.<br>Next: <code>x</code></p>")) == (
        "demo: new.\nNext: x"
    )
