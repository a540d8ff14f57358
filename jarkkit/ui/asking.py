"""Asking: widgets that only edit a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from IPython.display import display

from jarkkit.form import Form
from jarkkit.kit import Kit
from jarkkit.ui.html import Words
from jarkkit.ui.opening import headless


def form(kit: Kit, changes: Mapping[str, Any] | None = None) -> Form:
    """The settings as a form; its `value` is what stands in it. `changes` are filled in."""
    return Form(kit, changes, editable=not headless())


@dataclass
class Confirmation:
    """Asks for the deployment's name to be typed; `value` is what was typed."""

    name: str
    given: str
    _box: Any = None

    @property
    def value(self) -> str:
        """What was given as the parameter, or typed."""
        return self.given or (self._box.value if self._box is not None else "")

    def _ipython_display_(self) -> None:
        if self.given or headless():
            display(Words(f"<p>Confirmed: <code>{escape(self.given) or '(nothing)'}</code></p>"))
            return
        import ipywidgets

        self._box = ipywidgets.Text(
            placeholder=self.name,
            description=f"Type “{self.name}” to destroy it:",
            style={"description_width": "initial"},
            layout={"width": "32rem"},
        )
        display(self._box)


def confirmation(kit: Kit, given: str = "") -> Confirmation:
    """Ask for the confirmation that a cleanup needs."""
    return Confirmation(kit.name, given)
