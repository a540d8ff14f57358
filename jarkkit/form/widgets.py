"""Inputs of stock ipywidgets, one per kind of setting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as w

from jarkkit.form.fields import choices, hint, kind, label, why

Given = Callable[[Any], None]
_LABEL = {"description_width": "13rem"}
_WIDE = {"width": "38rem", "max_width": "98%"}


class Input:
    """One input: its widget, and its value in and out.

    Args:
        given: is told the value that somebody gave.
    """

    def __init__(self, box: Any, given: Given) -> None:
        self.box = box
        self._given = given
        self._quiet = False
        box.observe(self._observed, names="value")

    def show(self, value: Any) -> None:
        """Let it show a value; nobody is told."""
        if self.box.value != value:
            self._quiet = True
            try:
                self.box.value = value
            finally:
                self._quiet = False

    def offer(self, options: Sequence[tuple[str, Any]], value: Any) -> None:
        """Let a list of choices show others."""
        if tuple(self.box.options) != tuple(options):
            self._quiet = True
            try:
                self.box.options = options
            finally:
                self._quiet = False
        self.show(value)

    def _observed(self, change: Any) -> None:
        if not self._quiet:
            self._given(change["new"])


class Several:
    """A row of checkboxes: which of some words are chosen."""

    def __init__(self, words: Sequence[str], title: str, given: Given) -> None:
        self._inputs = {word: Input(checkbox(word), self._observed) for word in words}
        self._told = given
        boxes = [each.box for each in self._inputs.values()]
        row = w.HBox(boxes, layout={"flex_flow": "row wrap"})
        self.box = w.HBox([w.Label(title, layout={"width": "13rem", "flex": "0 0 auto"}), row])
        self.box.add_class("jarkkit-several")

    def show(self, value: Sequence[str]) -> None:
        """Let it show which are chosen."""
        for word, each in self._inputs.items():
            each.show(word in value)

    def _observed(self, _: object) -> None:
        self._told(tuple(word for word, each in self._inputs.items() if each.box.value))


def make(name: str, given: Given) -> Input | Several:
    """The input of a setting."""
    kind_of = kind(name)
    if kind_of == "several":
        return Several(choices(name), label(name), given)
    return Input(_box(name), given)


def _box(name: str) -> Any:
    common: dict[str, Any] = {
        "description": label(name),
        "style": _LABEL,
        "layout": _WIDE,
        "tooltip": why(name),
    }
    match kind(name):
        case "switch":
            return checkbox(label(name), tooltip=why(name))
        case "choice":
            return w.Dropdown(options=[(str(c), c) for c in choices(name)], **common)
        case "number":
            return w.IntText(**common)
        case _:
            # Told when one leaves it, not at every key: half an address is always wrong.
            return w.Text(placeholder=hint(name), continuous_update=False, **common)


def dropdown(title: str, tooltip: str) -> Any:
    """A list of choices as wide as the form, which gets its choices later."""
    return w.Dropdown(
        description=title,
        tooltip=tooltip,
        style={"description_width": "8rem"},
        layout={"width": "99%"},
    )


def checkbox(title: str, **more: Any) -> Any:
    """A checkbox with its words behind it."""
    return w.Checkbox(description=title, indent=False, layout={"width": "auto"}, **more)


def html(text: str = "") -> Any:
    """Something to read."""
    return w.HTML(text, layout={"width": "auto"})


def column(children: Sequence[Any], **layout: str) -> Any:
    """One below the other."""
    return w.VBox(children, layout=layout)


def row(children: Sequence[Any], **layout: str) -> Any:
    """One beside the other."""
    return w.HBox(children, layout={"align_items": "center", **layout})


def shown(box: Any, visible: bool) -> None:
    """Show something, or take it out of sight and out of the way of the keyboard."""
    display = "" if visible else "none"
    if (box.layout.display or "") != display:
        box.layout.display = display
