"""AWS' rules that the simulated account enforces, and those it is known to miss. Pure.

One file per service, `<service>.yaml`, by the SDK's name of the service; `all.yaml` has the rules
of every service. A file is a list of rows: the rule, its source, and either the test that proves
that the account enforces it or the reason why it does not. `docs/truth.md` is generated from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator


class AwsRule(BaseModel):
    """One rule of AWS.

    Attributes:
        rule: one sentence: what AWS rejects or does, with the error code where there is one.
        source: where AWS says so, or where its response was published.
        test: the pytest node that fails when the account does not enforce the rule.
        missing: why the account does not enforce it; for a rule without a test.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: str = Field(min_length=10)
    source: str = Field(pattern=r"^https://\S+$")
    test: str = Field(default="", pattern=r"^(tests/[\w/]+\.py::[\w:]+)?$")
    missing: str = ""

    @model_validator(mode="after")
    def _is_known_or_missing(self) -> Self:
        if bool(self.test) == bool(self.missing):
            raise ValueError(f"name either a test or why it is missing: {self.rule}")
        return self


@cache
def aws_rules() -> Mapping[str, tuple[AwsRule, ...]]:
    """Load all rules by service, in alphabetical order of the services.

    Raises ValueError for an invalid file.
    """
    folder = resources.files(__package__)
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return {
        file.name.removesuffix(".yaml"): parse_rules(file.read_text(encoding="utf-8"))
        for file in files
    }


def parse_rules(text: str) -> tuple[AwsRule, ...]:
    """Parse the rows of a file. Raises ValueError for an invalid or repeated row."""
    rules = tuple(AwsRule.model_validate(row) for row in yaml.safe_load(text) or ())
    sentences = [rule.rule for rule in rules]
    if repeated := {sentence for sentence in sentences if sentences.count(sentence) > 1}:
        raise ValueError(f"repeated: {', '.join(sorted(repeated))}")
    return rules
