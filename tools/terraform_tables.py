"""The tables of variables and outputs in terraform/README.md, from the files that declare them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

# `terraform fmt` puts a block's end at the beginning of a line, and indents its arguments by two.
_BLOCK = re.compile(r'^(?P<kind>variable|output) "(?P<name>\w+)" \{\n(?P<body>.*?)^\}', re.M | re.S)
_ARGUMENT = r"^  {name} += (.+?)(?=\n+  \w|\n?\Z)"


def declarations(text: str, kind: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the body of each variable or output in a file."""
    for found in _BLOCK.finditer(text):
        if found["kind"] == kind:
            yield found["name"], found["body"]


def argument(body: str, name: str) -> str | None:
    """Return an argument of a block on one line, as it is written; None if it has none."""
    found = re.search(_ARGUMENT.format(name=name), body, re.MULTILINE | re.DOTALL)
    return None if found is None else _one_line(found[1])


def _one_line(expression: str) -> str:
    """Return an expression on one line: HCL needs a comma where it had an end of line."""
    lines = [" ".join(line.split()) for line in expression.splitlines() if line.strip()]
    text = ""
    for line in lines:
        opens = not text or text.endswith(("{", "(", "[", ","))
        text += (" " if opens or line.startswith(("}", ")", "]")) else ", ") + line
    return text.strip()


def _description(body: str) -> str:
    """Return the description as Terraform prints it."""
    quoted = argument(body, "description") or '""'
    return quoted[1:-1].replace("$${", "${").replace('\\"', '"')


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [_row(head), "|---" * len(head) + "|", *map(_row, rows)]
    return "\n".join(lines) + "\n"


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _variable_rows(text: str) -> Iterator[tuple[str, ...]]:
    for name, body in declarations(text, "variable"):
        default = argument(body, "default")
        rules = re.findall(r'^ +error_message += "(.*)"$', body, re.MULTILINE)
        yield (
            f"`{name}`",
            f"`{argument(body, 'type')}`",
            "required" if default is None else f"`{default}`",
            " ".join([_description(body), *rules]),
        )


def terraform_tables(folder: Path) -> str:
    """Return the sections of terraform/README.md with all variables and outputs."""
    variables = _table(
        ("name", "type", "default", "description and rules"),
        _variable_rows((folder / "variables.tf").read_text()),
    )
    outputs = _table(
        ("name", "description"),
        (
            (f"`{name}`", _description(body))
            for name, body in declarations((folder / "outputs.tf").read_text(), "output")
        ),
    )
    return f"## Variables\n\n{variables}\n## Outputs\n\n{outputs}"
