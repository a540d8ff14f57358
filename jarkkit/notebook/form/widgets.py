"""Inputs from stock ipywidgets, one per kind of setting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as w

from jarkkit.notebook.form.fields import (
    choices,
    description,
    input_kind,
    label,
    placeholder,
    to_number,
)

OnChange = Callable[[Any], None]
_LABEL = {"description_width": "13rem"}
_WIDE = {"width": "38rem", "max_width": "98%"}


class Input:
    """An input: its widget, and access to its value.

    Args:
        on_change: called with the new value when the user changes it.
    """

    def __init__(self, box: Any, on_change: OnChange) -> None:
        self.box = box
        self._on_change = on_change
        self._quiet = False
        box.observe(self._observed, names="value")

    def set_value(self, value: Any) -> None:
        """Set the displayed value without a notification."""
        if self.box.value != value:
            self._quiet = True
            try:
                self.box.value = value
            finally:
                self._quiet = False

    def set_options(self, options: Sequence[tuple[str, Any]], value: Any) -> None:
        """Set the options of a dropdown, and its value."""
        if tuple(self.box.options) != tuple(options):
            self._quiet = True
            try:
                self.box.options = options
            finally:
                self._quiet = False
        self.set_value(value)

    def _observed(self, change: Any) -> None:
        if not self._quiet:
            self._on_change(change["new"])


class NumberInput(Input):
    """A text field for a whole number. What is no number reaches `on_change` as it was typed.

    A browser's number field drops what it does not understand: 2.5 became 25, 1e3 became 13.
    """

    def __init__(self, box: Any, on_change: OnChange) -> None:
        super().__init__(box, lambda text: on_change(to_number(text)))

    def set_value(self, value: Any) -> None:
        """Set the displayed value without a notification."""
        super().set_value(str(value))


class CheckboxGroup:
    """A row of checkboxes; the value is the selected words."""

    def __init__(self, words: Sequence[str], title: str, on_change: OnChange) -> None:
        self._inputs = {word: Input(checkbox(word), self._observed) for word in words}
        self._notify = on_change
        boxes = [each.box for each in self._inputs.values()]
        row = w.HBox(boxes, layout={"flex_flow": "row wrap"})
        self.box = w.HBox([w.Label(title, layout={"width": "13rem", "flex": "0 0 auto"}), row])
        self.box.add_class("jarkkit-several")

    def set_value(self, value: Sequence[str]) -> None:
        """Set the selected words without a notification."""
        for word, each in self._inputs.items():
            each.set_value(word in value)

    def _observed(self, _: object) -> None:
        self._notify(tuple(word for word, each in self._inputs.items() if each.box.value))


def make_input(name: str, on_change: OnChange) -> Input | CheckboxGroup:
    """Create the input of a setting."""
    kind_of = input_kind(name)
    if kind_of == "several":
        return CheckboxGroup(choices(name), label(name), on_change)
    if kind_of == "number":
        return NumberInput(_box(name), on_change)
    return Input(_box(name), on_change)


def _box(name: str) -> Any:
    common: dict[str, Any] = {
        "description": label(name),
        "style": _LABEL,
        "layout": _WIDE,
        "tooltip": description(name),
    }
    match input_kind(name):
        case "switch":
            return checkbox(label(name), tooltip=description(name))
        case "choice":
            return w.Dropdown(options=[(str(c), c) for c in choices(name)], **common)
        case _:
            # Notify on blur, not on every key: a half-typed address is always invalid.
            return w.Text(placeholder=placeholder(name), continuous_update=False, **common)


def dropdown(title: str, tooltip: str) -> Any:
    """Create a dropdown as wide as the form; its options are set later."""
    return w.Dropdown(
        description=title,
        tooltip=tooltip,
        style={"description_width": "8rem"},
        layout={"width": "99%"},
    )


def checkbox(title: str, **more: Any) -> Any:
    """Create a checkbox with its label after it."""
    return w.Checkbox(description=title, indent=False, layout={"width": "auto"}, **more)


def html(text: str = "") -> Any:
    """Create an HTML widget."""
    return w.HTML(text, layout={"width": "auto"})


def column(children: Sequence[Any], **layout: str) -> Any:
    """Create a column of widgets."""
    return w.VBox(children, layout=layout)


def row(children: Sequence[Any], **layout: str) -> Any:
    """Create a row of widgets."""
    return w.HBox(children, layout={"align_items": "center", **layout})


def set_visible(box: Any, visible: bool) -> None:
    """Show or hide a widget; a hidden widget also leaves the tab order."""
    display = "" if visible else "none"
    if (box.layout.display or "") != display:
        box.layout.display = display
