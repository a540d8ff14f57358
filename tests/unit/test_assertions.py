"""Assertions about fields of objects, as data."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from jarkkit.model.assertions import FieldAssertion, values_at

OBJECT = {
    "metadata": {"name": "x", "namespace": "n", "labels": {"a/b": "c"}},
    "spec": {"containers": [{"image": "one"}, {"image": "two"}]},
    "status": {"conditions": [{"type": "Ready", "status": "True"}], "replicas": 2},
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        (".status.replicas", [2]),
        ('.metadata.labels["a/b"]', ["c"]),
        (".spec.containers[1].image", ["two"]),
        (".spec.containers[*].image", ["one", "two"]),
        (".status.conditions[type=Ready].status", ["True"]),
        (".status.conditions[type=Other].status", []),
        (".spec.containers[7].image", []),
        (".no.such.field", []),
    ],
)
def test_paths(path: str, values: list[Any]) -> None:
    assert values_at(OBJECT, path) == values


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ({"field": ".status.replicas", "equals": 2}, True),
        ({"field": ".status.replicas", "at_least": 3}, False),
        ({"field": ".status.replicas", "one_of": [1, 2]}, True),
        ({"field": ".spec.containers[*].image", "matches": "^one$"}, False),
        ({"field": ".status.nothing", "exists": False}, True),
        ({"field": ".status.nothing", "equals": 2}, False),
    ],
)
def test_assertions(condition: dict[str, Any], met: bool) -> None:
    assertion = FieldAssertion.model_validate(condition)
    assert assertion.is_met_by(OBJECT) is met
    assert assertion.expected
    assert assertion.actual(OBJECT)


@pytest.mark.parametrize(
    "wrong",
    [
        {"field": "status", "equals": 1},
        {"field": ".status[", "equals": 1},
        {"field": ".status"},
        {"field": ".status", "equals": 1, "exists": True},
    ],
)
def test_invalid_assertions_are_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FieldAssertion.model_validate(wrong)
