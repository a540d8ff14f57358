"""What stands in the form: the saved settings and the changes to them, whether they fit together or
not. No widgets."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from jarkkit.errors import JarkkitError
from jarkkit.form.fields import is_secret, kind, plainly, read, same, written
from jarkkit.settings import Settings

_SOURCE = "the form"


class Draft:
    """Settings being changed.

    Args:
        saved: as they are on the disk.
        changes: other values to begin with. Raises JK-SETTINGS-…
    """

    def __init__(self, saved: Settings, changes: Mapping[str, Any] | None = None) -> None:
        self.saved = saved
        self._inputs: dict[str, Any] = {}
        self.error: JarkkitError | None = None
        # What fits together of all that: what follows from it is shown meanwhile.
        self.last = saved.changed(changes or {}, source=_SOURCE)
        for name in changes or {}:
            self._inputs[name] = written(name, getattr(self.last, name))

    @property
    def settings(self) -> Settings:
        """The settings as they stand here. Raises JK-SETTINGS-…"""
        values = {name: read(name, given) for name, given in self._inputs.items()}
        return self.saved.changed(values, source=_SOURCE)

    def input(self, name: str) -> Any:
        """What stands in a setting's input."""
        return self._inputs.get(name, written(name, getattr(self.saved, name)))

    def put(self, changes: Mapping[str, Any]) -> None:
        """Put what was given into these inputs. What does not fit is kept, and `error` says why."""
        for name, given in changes.items():
            if same(given, written(name, getattr(self.saved, name))):
                self._inputs.pop(name, None)
            else:
                self._inputs[name] = given
        try:
            self.last, self.error = self.settings, None
        except JarkkitError as error:
            self.error = error
            self._follow(changes)

    def _follow(self, changes: Mapping[str, Any]) -> None:
        """What was changed now may fit, although something else does not."""
        with contextlib.suppress(JarkkitError):
            values = {name: read(name, given) for name, given in changes.items()}
            self.last = self.last.changed(values, source=_SOURCE)

    def now_saved(self, settings: Settings) -> None:
        """These settings are on the disk now."""
        self.saved = self.last = settings
        self._inputs = {}

    def changed(self) -> tuple[str, ...]:
        """Names of the settings that are other than saved."""
        return tuple(name for name in Settings.model_fields if name in self._inputs)

    def told(self) -> tuple[str, ...]:
        """The changes in words."""
        return tuple(f"{name}: {self._told(name)}" for name in self.changed())

    def _told(self, name: str) -> str:
        before, after = (plainly(name, each) or "(empty)" for each in (self.saved, self.last))
        if before != after:
            return f"{before} → {after}"
        # It does not fit, and what does not fit as a reference may be the secret itself.
        hidden = is_secret(name) or kind(name) == "own"
        return "(does not fit yet)" if hidden else f"{before} → {self.input(name)}"
