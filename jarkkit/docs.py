"""Writes the pages of docs/ that are made from the code: `python -m jarkkit.docs`."""

from __future__ import annotations

import sys
from pathlib import Path

from jarkkit.errors import CODES
from jarkkit.settings import describe


def errors_page() -> str:
    """docs/errors.md: every code with its meaning."""
    rows = [f"| `{code}` | {meaning} |" for code, meaning in CODES.items()]
    head = [
        "# Error codes",
        "",
        "<!-- Made from jarkkit/errors.py by `make docs`; a test holds the two together. -->",
        "",
        "Every failure has a stable code, says what happened and what to do next. In a terminal",
        "and in a notebook the fix stands below the message; `--json` gives the same as fields.",
        "",
        "| code | what it means |",
        "|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"


PAGES = {"settings.md": describe, "errors.md": errors_page}


def main(folder: Path) -> None:
    """Write all generated pages into a folder."""
    folder.mkdir(exist_ok=True)
    for name, write in PAGES.items():
        (folder / name).write_text(write())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs")
