"""The form as widgets: the summary bar, the sections, and Save."""

from __future__ import annotations

from typing import Any

import ipywidgets as w

from jarkkit.notebook.form import widgets
from jarkkit.notebook.form.controller import FormController
from jarkkit.notebook.form.panes import Pane, make_pane
from jarkkit.notebook.form.sections import SECTIONS, Section, has_error, section_summary
from jarkkit.render import form as html


class FormPage:
    """The form's widgets. A section is created when you first open it."""

    def __init__(self, controller: FormController) -> None:
        self._controller = controller
        self._panes: dict[str, tuple[Pane, Any]] = {}
        self._bar, self._message, self._changes = (widgets.html() for _ in range(3))
        self._buttons = {section.name: self._button(section) for section in SECTIONS}
        nav = widgets.column(list(self._buttons.values()), width="14rem", flex="0 0 auto")
        nav.add_class("jarkkit-nav")
        self._stack = widgets.column([], flex="1 1 auto", max_height="27rem", overflow="auto")
        self._stack.add_class("jarkkit-pane")
        save = w.Button(
            description="Save",
            icon="save",
            button_style="primary",
            tooltip="Write settings.yaml",
            layout={"flex": "0 0 auto"},
        )
        save.on_click(lambda _: controller.save())
        self.box = widgets.column(
            [
                widgets.html(html.STYLE),
                self._bar,
                widgets.row([nav, self._stack], align_items="stretch"),
                self._message,
                widgets.row([save, self._changes]),
            ]
        )
        self.box.add_class("jarkkit-form")
        self._current = SECTIONS[0].name
        self.open(self._current)
        controller.subscribe(self.refresh)

    def open(self, name: str) -> None:
        """Show a section."""
        with self._controller.lock:
            self._current = name
            if name not in self._panes:
                section = next(each for each in SECTIONS if each.name == name)
                made = make_pane(self._controller, section)
                head = widgets.html(html.heading(section.name, section.what))
                self._panes[name] = (made, widgets.column([head, made.box]))
            self.refresh()  # before a new pane is shown: a click on an empty input would be lost
            self._stack.children = tuple(box for _, box in self._panes.values())

    def refresh(self) -> None:
        """Show the current state. Only changes are sent to the browser."""
        controller = self._controller
        self._bar.value = html.summary_bar(controller.summary())
        self._message.value = self._messages()
        self._changes.value = html.changes(controller.draft.change_texts())
        for name, (made, box) in self._panes.items():
            widgets.set_visible(box, name == self._current)
            if name == self._current:
                made.refresh()
        for section in SECTIONS:
            button = self._buttons[section.name]
            button.description = self._title(section)
            button.style.font_weight = "bold" if section.name == self._current else "normal"

    def _messages(self) -> str:
        controller, parts = self._controller, []
        if controller.draft.error is not None:
            parts.append(html.error_message(controller.draft.error))
        if controller.message is not None:
            parts.append(html.message(*controller.message))
        if "region" in controller.busy:
            parts.append(
                html.small(
                    f"Loading prices, quotas and availability for {controller.settings.region} …"
                )
            )
        return "".join(parts)

    def _title(self, section: Section) -> str:
        sign = "▸ " if section.name == self._current else ""
        sign += "✘ " if has_error(section, self._controller.draft.error) else ""
        brief = section_summary(section, self._controller.stack)
        return f"{sign}{section.name}{f': {brief}' if brief else ''}"

    def _button(self, section: Section) -> Any:
        button = w.Button(description=section.name, tooltip=section.what)
        button.on_click(lambda _: self.open(section.name))
        return button
