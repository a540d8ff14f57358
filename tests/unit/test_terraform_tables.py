"""Tables of Terraform's variables and outputs."""

from __future__ import annotations

import re
from pathlib import Path

from jarkkit.ports.paths import terraform_folder
from tools.terraform_tables import argument, declarations, terraform_tables

VARIABLES = """
variable "size" {
  description = "The \\"size\\" of $${name}."
  type = map(object({
    min = optional(number, 1)

    labels = map(string)
  }))
  default = {}

  validation {
    condition     = length(var.size) < 5 || var.size == null
    error_message = "Set at most 4 | none."
  }
}

variable "name" {
  description = "The name."
  type        = string
}
"""
OUTPUTS = """
output "id" {
  description = "The id; null without one."
  value = var.name == "" ? null : {
    id = var.name
  }
}
"""


def test_a_row_has_type_default_description_and_rule(tmp_path: Path) -> None:
    (tmp_path / "variables.tf").write_text(VARIABLES)
    (tmp_path / "outputs.tf").write_text(OUTPUTS)
    rows = terraform_tables(tmp_path).splitlines()
    assert (
        "| `size` | `map(object({ min = optional(number, 1), labels = map(string) }))` | `{}` "
        '| The "size" of ${name}. Set at most 4 \\| none. |'
    ) in rows
    assert "| `name` | `string` | required | The name. |" in rows
    assert "| `id` | The id; null without one. |" in rows


def test_every_variable_and_output_has_a_row_with_type_and_description() -> None:
    for kind, needed in (("variable", {"type", "description"}), ("output", {"description"})):
        text = (terraform_folder() / f"{kind}s.tf").read_text()
        found = dict(declarations(text, kind))
        assert len(found) == len(re.findall(rf"^{kind} ", text, re.MULTILINE))
        for name, body in found.items():
            assert {each for each in needed if argument(body, each)} == needed, name
