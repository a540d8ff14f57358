"""The form on the page: what the settings come to, the sections, and Save."""

from __future__ import annotations

from typing import Any

import ipywidgets as w

from jarkkit.form import drawing, widgets
from jarkkit.form.desk import Desk
from jarkkit.form.panes import Pane, pane
from jarkkit.form.sections import SECTIONS, Section, at_fault, summary


class Page:
    """The widgets. A section is made when it is first opened."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._panes: dict[str, tuple[Pane, Any]] = {}
        self._bar, self._answer, self._changes = (widgets.html() for _ in range(3))
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
        save.on_click(lambda _: desk.save())
        self.box = widgets.column(
            [
                widgets.html(drawing.STYLE),
                self._bar,
                widgets.row([nav, self._stack], align_items="stretch"),
                self._answer,
                widgets.row([save, self._changes]),
            ]
        )
        self.box.add_class("jarkkit-form")
        self._here = SECTIONS[0].name
        self.open(self._here)
        desk.listen(self.refresh)

    def open(self, name: str) -> None:
        """Show a section."""
        with self._desk.lock:
            self._here = name
            if name not in self._panes:
                section = next(each for each in SECTIONS if each.name == name)
                made = pane(self._desk, section)
                head = widgets.html(drawing.heading(section.name, section.what))
                self._panes[name] = (made, widgets.column([head, made.box]))
                self._stack.children = (*self._stack.children, self._panes[name][1])
            self.refresh()

    def refresh(self) -> None:
        """Show what there is now. Only what has changed is sent to the browser."""
        desk = self._desk
        self._bar.value = drawing.bar(desk.outlook())
        self._answer.value = self._answers()
        self._changes.value = drawing.changes(desk.draft.told())
        for name, (made, box) in self._panes.items():
            widgets.shown(box, name == self._here)
            if name == self._here:
                made.refresh()
        for section in SECTIONS:
            button = self._buttons[section.name]
            button.description = self._title(section)
            button.style.font_weight = "bold" if section.name == self._here else "normal"

    def _answers(self) -> str:
        desk, parts = self._desk, []
        if desk.draft.error is not None:
            parts.append(drawing.refused(desk.draft.error))
        if desk.said is not None:
            parts.append(drawing.said(*desk.said))
        if "prospect" in desk.busy:
            parts.append(drawing.small(f"Asking what {desk.settings.region} holds …"))
        return "".join(parts)

    def _title(self, section: Section) -> str:
        sign = "▸ " if section.name == self._here else ""
        sign += "✘ " if at_fault(section, self._desk.draft.error) else ""
        brief = summary(section, self._desk.settings)
        return f"{sign}{section.name}{f': {brief}' if brief else ''}"

    def _button(self, section: Section) -> Any:
        button = w.Button(description=section.name, tooltip=section.what)
        button.on_click(lambda _: self.open(section.name))
        return button
