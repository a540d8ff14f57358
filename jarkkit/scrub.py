"""Takes account ids and paths of this machine out of what may be shown to others."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat

from jarkkit.home import notebooks_folder
from jarkkit.masking import masked

Replacements = Mapping[str, str]


class Scrub:
    """Replaces known words by harmless ones, the longest first."""

    def __init__(self, words: Replacements) -> None:
        self._words = sorted(
            ((word, by) for word, by in words.items() if len(word) > 1),
            key=lambda pair: -len(pair[0]),
        )

    def text(self, text: str) -> str:
        """The text without them."""
        for word, by in self._words:
            text = text.replace(word, by)
        return text

    def notebook(self, path: Path) -> None:
        """An executed notebook without them, in place; nothing happens when it is not there."""
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


def words_of(home: Path, *, account_id: str = "", secrets: tuple[str, ...] = ()) -> dict[str, str]:
    """What must not be shown: where things are on this machine, the account, secrets."""
    words = {
        str(Path(__file__).parent): "jarkkit",
        str(notebooks_folder()): "notebooks",
        str(home.resolve()): ".",
        str(Path.home()): "~",
        account_id: masked(account_id),
    }
    words.update({secret: "(secret)" for secret in secrets if len(secret) >= 8})
    words.pop("", None)
    words.pop("/", None)
    return words
