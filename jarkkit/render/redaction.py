"""Removes account ids, local paths and secrets from output that people may share."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat

from jarkkit.model.account_ids import mask_account_ids
from jarkkit.ports.paths import notebooks_folder

Replacements = Mapping[str, str]


class Redactor:
    """Replaces sensitive values, the longest first."""

    def __init__(self, replacements: Replacements) -> None:
        self._words = sorted(
            ((word, by) for word, by in replacements.items() if len(word) > 1),
            key=lambda pair: -len(pair[0]),
        )

    def text(self, text: str) -> str:
        """Return the text without sensitive values."""
        for word, by in self._words:
            text = text.replace(word, by)
        return text

    def notebook(self, path: Path) -> None:
        """Redact an executed notebook in place; do nothing if it does not exist."""
        with contextlib.suppress(FileNotFoundError):
            book = nbformat.read(str(path), as_version=4)
            nbformat.write(nbformat.from_dict(self._value(book)), str(path))
            path.chmod(0o600)

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self._value(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._value(item) for item in value]
        return value


def sensitive_values(
    home: Path, *, account_id: str = "", secrets: tuple[str, ...] = ()
) -> dict[str, str]:
    """Return replacements for local paths, the account id and secrets."""
    words = {
        str(Path(__file__).parents[1]): "jarkkit",
        str(notebooks_folder()): "notebooks",
        str(home.resolve()): ".",
        str(Path.home()): "~",
        account_id: mask_account_ids(account_id),
    }
    words.update({secret: "(secret)" for secret in secrets if len(secret) >= 8})
    words.pop("", None)
    words.pop("/", None)
    return words
