"""What IPython shows of a value, and the text of a saved notebook where no HTML is rendered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from IPython.core.formatters import DisplayFormatter
from IPython.core.interactiveshell import InteractiveShell

import jarkkit
from jarkkit.decisions.durations.estimate import estimate_durations
from jarkkit.model.checks import Check, Report
from jarkkit.render.display import register_formatters
from jarkkit.render.markup import HtmlText, table_with_note
from jarkkit.settings import Settings
from jarkkit.steps.use import examples, web_endpoints
from tests.support.stacks import resolved

REPORT = Report(
    title="Does it work?",
    checks=(Check(name="Cluster", status="fail", found="CREATING", fix="Wait."),),
)


@pytest.fixture
def display() -> Iterator[DisplayFormatter]:
    """Run IPython, as in a notebook, and return what decides how it shows values."""
    formatter = InteractiveShell.instance().display_formatter
    assert formatter is not None
    yield formatter
    InteractiveShell.clear_instance()


@pytest.mark.parametrize(
    ("value", "words", "markup"),
    [
        (REPORT, "fix: Wait.", "<em>Fix:</em> Wait."),
        (estimate_durations(resolved(Settings())), "EKS control plane", "<table"),
        (examples(resolved(Settings())), "hello-workflow", "<td"),
        (web_endpoints(resolved(Settings())), "jarkkit use open grafana", "<td"),
    ],
    ids=["a report", "times", "examples", "web UIs"],
)
def test_ipython_shows_a_value_as_html_and_as_the_text_of_the_command_line(
    display: DisplayFormatter, value: object, words: str, markup: str
) -> None:
    register_formatters()
    data, _ = display.format(value)
    assert words in data["text/plain"]
    assert f"{type(value).__name__}(" not in data["text/plain"]
    assert markup in data["text/html"]


def test_a_notebook_that_imports_only_the_public_names_shows_html(
    display: DisplayFormatter,
) -> None:
    jarkkit.__getattr__("Report")
    assert "<em>Fix:</em>" in display.format(REPORT)[0]["text/html"]


def test_without_ipython_nothing_is_registered() -> None:
    assert not InteractiveShell.initialized()
    register_formatters()
    assert not InteractiveShell.initialized()


def test_html_has_its_words_as_text() -> None:
    table = table_with_note(("Left", "Id"), [("a<b", "1")], "One & all.")
    assert repr(HtmlText(table)) == "Left  Id\na<b  1\nOne & all."
    assert repr(HtmlText("<p><strong>demo</strong>: new.<br>Next: <code>x</code></p>")) == (
        "demo: new.\nNext: x"
    )
