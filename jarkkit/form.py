"""The settings as a form. A widget only edits a value; what it may be is decided by `settings`."""

from __future__ import annotations

import json
from html import escape
from typing import Any, Literal, get_args, get_origin

from IPython.display import HTML, display

from jarkkit.errors import JarkkitError
from jarkkit.settings import GROUPS, Settings, field_extra, fields_of
from jarkkit.settings_sources import read_pairs


class Form:
    """Shows every setting with its reason, group by group; `value` is what stands in it.

    Not editable (headless) it shows the same as tables.
    """

    def __init__(self, settings: Settings, *, editable: bool) -> None:
        self._settings = settings
        self._editable = editable
        self._inputs: dict[str, Any] = {}
        self._said: Any = None

    @property
    def value(self) -> Settings:
        """The settings as they stand in the form. Raises JK-SETTINGS-…"""
        changes = {
            name: _read(name, box.value)
            for name, box in self._inputs.items()
            if box.value != _shown(self._settings, name)
        }
        return self._settings.changed(changes, source="the form")

    def _ipython_display_(self) -> None:
        display(self._widget() if self._editable else HTML(self._html()))

    def _widget(self) -> Any:
        import ipywidgets as w

        self._said = w.HTML()
        pages = [w.VBox([self._row(w, name) for name in fields_of(group)]) for group in GROUPS]
        tabs = w.Tab(pages)
        tabs.titles = tuple(GROUPS)
        self._check()
        return w.VBox([tabs, self._said])

    def _row(self, w: Any, name: str) -> Any:
        field = Settings.model_fields[name]
        unit = field_extra(field)["unit"]
        shown = _shown(self._settings, name)
        style = {"description_width": "14rem"}
        common = {
            "description": f"{field.title}{f' ({unit})' if unit else ''}",
            "style": style,
            "layout": {"width": "34rem"},
            "disabled": name == "name",  # a deployment keeps its name
        }
        choices = _choices(name)
        if isinstance(shown, bool):
            box = w.Checkbox(value=shown, **{**common, "indent": True})
        elif choices:
            box = w.Dropdown(options=choices, value=shown, **common)
        elif isinstance(shown, int):
            box = w.IntText(value=shown, **common)
        else:
            box = w.Text(value=shown, **common)
        box.observe(lambda _change: self._check(), names="value")
        self._inputs[name] = box
        why = w.HTML(f"<small>{escape(field.description or '')}</small>")
        return w.VBox([box, why])

    def _check(self) -> None:
        try:
            after = self.value
        except JarkkitError as error:
            said = escape("\n".join(error.lines()))
            self._said.value = f"<pre style='color:#d55e00'>{said}</pre>"
            return
        count = sum(
            _shown(after, name) != _shown(self._settings, name) for name in Settings.model_fields
        )
        self._said.value = f"<p>✔ These settings fit together; {count} changed.</p>"

    def _html(self) -> str:
        return "".join(
            f"<h4>{escape(group)}</h4><table>{''.join(map(self._line, fields_of(group)))}</table>"
            for group in GROUPS
        )

    def _line(self, name: str) -> str:
        title = Settings.model_fields[name].title or name
        cell = "<td style='text-align:left'>"
        value = escape(str(_shown(self._settings, name)))
        return f"<tr>{cell}{escape(title)}</td>{cell}<code>{value}</code></td></tr>"


def _shown(settings: Settings, name: str) -> Any:
    """A setting's value as a widget has it: lists and mappings as the text that `-p` would take."""
    value = settings.model_dump(mode="json")[name]
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)


def _read(name: str, shown: Any) -> Any:
    field = Settings.model_fields[name]
    if isinstance(shown, str) and field.annotation is not str and not _choices(name):
        return read_pairs([f"{name}={shown}"], source="the form")[name]
    return shown


def _choices(name: str) -> list[str]:
    annotation = Settings.model_fields[name].annotation
    return list(get_args(annotation)) if get_origin(annotation) is Literal else []
