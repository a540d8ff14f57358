"""The files of jarkkit/sandbox/aws_rules/."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import botocore.session
import pytest

from jarkkit.sandbox.aws_rules import aws_rules, parse_rules

ROOT = Path(__file__).parents[3]
NODES = sorted({rule.test for rules in aws_rules().values() for rule in rules if rule.test})


@cache
def nodes_of(path: Path) -> frozenset[str]:
    """Return the tests of a file, as pytest names them after the path."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{f.name}" for f in node.body if isinstance(f, ast.FunctionDef)}
        elif isinstance(node, ast.FunctionDef):
            found.add(node.name)
    return frozenset(found)


@pytest.mark.parametrize("node", NODES)
def test_the_test_of_every_rule_exists(node: str) -> None:
    path, _, name = node.partition("::")
    assert name.rpartition("::")[2].startswith("test_")
    assert name in nodes_of(ROOT / path)


def test_every_file_is_named_after_a_service() -> None:
    services = botocore.session.get_session().get_available_services()
    assert set(aws_rules()) <= {*services, "all"}
    assert all(aws_rules().values())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{rule: A rule of AWS, source: 'https://x'}", "either a test or why"),
        ("{rule: A rule of AWS, missing: no packets}", "source"),
        ("{rule: A rule of AWS, source: a guide, missing: no packets}", "source"),
        ("{rule: A rule of AWS, source: 'https://x', test: test_x}", "test"),
        ("{rule: A rule of AWS, source: 'https://x', missing: no, tset: x}", "tset"),
    ],
)
def test_an_invalid_row_is_rejected(row: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_rules(f"- {row}")


def test_a_repeated_rule_is_rejected() -> None:
    row = "- {rule: A rule of AWS, source: 'https://x', missing: no packets}\n"
    with pytest.raises(ValueError, match="repeated"):
        parse_rules(row + row)
