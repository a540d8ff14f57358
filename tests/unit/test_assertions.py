"""Assertions about fields of objects, as data."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from jarkkit.model.assertions import FieldAssertion, values_at

OBJECT = {
    "metadata": {"name": "x", "namespace": "n", "labels": {"a/b": "c"}},
    "spec": {"containers": [{"image": "one"}, {"image": "two"}]},
    "status": {"conditions": [{"type": "Ready", "status": "True"}], "replicas": 2, "paused": False},
}


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("status.replicas", [2]),
        ('metadata.labels."a/b"', ["c"]),
        ("spec.containers[1].image", ["two"]),
        ("spec.containers[].image", ["one", "two"]),
        ("status.conditions[?type=='Ready'].status", ["True"]),
        ("status.conditions[?type=='Other'].status", []),
        ("spec.containers[7].image", []),
        ("length(spec.containers)", [2]),
        ("status.paused", [False]),
        ("no.such.field", []),
    ],
)
def test_expressions(expression: str, values: list[Any]) -> None:
    assert values_at(OBJECT, expression) == values


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ({"field": "status.replicas", "equals": 2}, True),
        ({"field": "status.replicas", "at_least": 3}, False),
        ({"field": "status.replicas", "one_of": [1, 2]}, True),
        ({"field": "spec.containers[].image", "matches": "^one$"}, False),
        ({"field": "spec.containers[].image", "matches": "one|two"}, True),
        ({"field": "spec.containers[].image", "equals": ["one", "two"]}, True),
        ({"field": "spec.containers[].image", "equals": ["one"]}, False),
        ({"field": "length(spec.containers)", "at_least": 2}, True),
        ({"field": "status.paused", "equals": False}, True),
        ({"field": "status.paused", "exists": True}, True),
        ({"field": "status.nothing", "exists": False}, True),
        ({"field": "status.nothing", "equals": 2}, False),
    ],
)
def test_assertions(condition: dict[str, Any], met: bool) -> None:
    assertion = FieldAssertion.model_validate(condition)
    assert assertion.is_met_by(OBJECT) is met
    assert assertion.expected
    assert assertion.actual(OBJECT)


@pytest.mark.parametrize("operator", [{"at_least": 1}, {"exists": True}, {"exists": False}])
def test_a_function_of_a_missing_field_is_not_as_expected(operator: dict[str, Any]) -> None:
    assertion = FieldAssertion.model_validate({"field": "length(spec.no)", **operator})
    assert not assertion.is_met_by(OBJECT)
    assert "length()" in assertion.actual(OBJECT)


@pytest.mark.parametrize(
    "wrong",
    [
        {"field": "status[", "equals": 1},
        {"field": "", "equals": 1},
        {"field": "size(status)", "equals": 1},
        {"field": "length(status, spec)", "equals": 1},
        {"field": "status"},
        {"field": "status", "equals": 1, "exists": True},
    ],
)
def test_invalid_assertions_are_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FieldAssertion.model_validate(wrong)


@pytest.mark.parametrize(
    ("path", "expression"),
    [
        (".status.replicas", "status.replicas"),
        ('.metadata.labels["a/b"]', 'metadata.labels."a/b"'),
        (".spec.containers[*].image", "spec.containers[].image"),
        (".spec.containers[1].image", "spec.containers[1].image"),
        (".status.conditions[type=Ready].status", "status.conditions[?type=='Ready'].status"),
        (".spec.ports[port=443].name", "spec.ports[?port==`443`].name"),
    ],
)
def test_the_path_of_an_earlier_version_is_rejected_with_its_expression(
    path: str, expression: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        FieldAssertion.model_validate({"field": path, "equals": 1})
    assert caught.value.errors()[0]["msg"].endswith(f"Since jarkkit 0.2, write {expression}")
    FieldAssertion.model_validate({"field": expression, "equals": 1})
