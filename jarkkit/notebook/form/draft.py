"""The edited settings in the form: the saved ones and the changes, valid or not. No widgets."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from jarkkit.model.errors import JarkkitError
from jarkkit.notebook.form.fields import (
    display_text,
    from_input,
    input_kind,
    is_same,
    is_secret,
    to_input,
)
from jarkkit.settings import Settings

_SOURCE = "the form"


class Draft:
    """Settings that are being edited.

    Args:
        saved: the settings on disk.
        changes: initial values that differ from them. Raises JK-SETTINGS-…
    """

    def __init__(self, saved: Settings, changes: Mapping[str, Any] | None = None) -> None:
        self.saved = saved
        self._inputs: dict[str, Any] = {}
        self.error: JarkkitError | None = None
        # The last valid settings. The form shows their summary while the inputs are invalid.
        self.last_valid = saved.with_changes(changes or {}, source=_SOURCE)
        for name in changes or {}:
            self._inputs[name] = to_input(name, getattr(self.last_valid, name))

    @property
    def settings(self) -> Settings:
        """The edited settings. Raises JK-SETTINGS-…"""
        values = {name: from_input(name, given) for name, given in self._inputs.items()}
        return self.saved.with_changes(values, source=_SOURCE)

    def input(self, name: str) -> Any:
        """Return the value of a setting's input."""
        return self._inputs.get(name, to_input(name, getattr(self.saved, name)))

    def update(self, changes: Mapping[str, Any]) -> None:
        """Update these inputs. Invalid values are kept too, and `error` explains them."""
        for name, given in changes.items():
            if is_same(given, to_input(name, getattr(self.saved, name))):
                self._inputs.pop(name, None)
            else:
                self._inputs[name] = given
        try:
            self.last_valid, self.error = self.settings, None
        except JarkkitError as error:
            self.error = error
            self._follow(changes)

    def _follow(self, changes: Mapping[str, Any]) -> None:
        """Keep these changes if they are valid, although other inputs are not."""
        with contextlib.suppress(JarkkitError):
            values = {name: from_input(name, given) for name, given in changes.items()}
            self.last_valid = self.last_valid.with_changes(values, source=_SOURCE)

    def mark_saved(self, settings: Settings) -> None:
        """Record that these settings are saved."""
        self.saved = self.last_valid = settings
        self._inputs = {}

    def changed_names(self) -> tuple[str, ...]:
        """Return the names of the unsaved settings."""
        return tuple(name for name in Settings.model_fields if name in self._inputs)

    def change_texts(self) -> tuple[str, ...]:
        """Return the unsaved changes as text."""
        return tuple(f"{name}: {self._change_text(name)}" for name in self.changed_names())

    def _change_text(self, name: str) -> str:
        before, after = (
            display_text(name, each) or "(empty)" for each in (self.saved, self.last_valid)
        )
        if before != after:
            return f"{before} → {after}"
        # Invalid. An invalid reference to a secret may be the secret itself, so hide it.
        hidden = is_secret(name) or input_kind(name) == "own"
        return "(not valid yet)" if hidden else f"{before} → {self.input(name)}"
