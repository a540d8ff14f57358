"""The sections of the form as widgets. A pane is built when it is first looked at."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

import ipywidgets as w

from jarkkit.addons.catalogue import catalogue
from jarkkit.addons.choice import is_on
from jarkkit.form import accelerators, addons, drawing, regions, widgets
from jarkkit.form.desk import Desk
from jarkkit.form.fields import why
from jarkkit.form.sections import Section, matters
from jarkkit.form.widgets import Input, Several
from jarkkit.survey import shown as survey_shown


class Pane(Protocol):
    """One section."""

    box: Any

    def refresh(self) -> None:
        """Show what there is now."""


class Fields:
    """Settings one below the other, each with its reason."""

    def __init__(self, desk: Desk, names: tuple[str, ...]) -> None:
        self._desk = desk
        self._inputs = {name: widgets.make(name, partial(self._given, name)) for name in names}
        self._rows = {
            name: widgets.column([each.box, widgets.html(drawing.small(why(name), "22px"))])
            for name, each in self._inputs.items()
        }
        if "name" in names:  # a deployment keeps its name
            self._inputs["name"].box.disabled = True
        self.box = widgets.column(list(self._rows.values()))

    def refresh(self) -> None:
        """Show what stands in the draft, and only what matters."""
        for name, each in self._inputs.items():
            each.show(self._desk.draft.input(name))
            widgets.shown(self._rows[name], matters(name, self._desk.draft.input))

    def _given(self, name: str, value: Any) -> None:
        self._desk.put({name: value})


class Regions:
    """Where, and which version."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        region, version = (
            widgets.dropdown(title, why(name))
            for name, title in (("region", "Region"), ("cluster_version", "Kubernetes"))
        )
        self._region = Input(region, desk.move)
        self._version = Input(version, lambda given: desk.put({"cluster_version": given}))
        self._button = w.Button(
            description="Look at all Regions",
            icon="globe",
            layout={"width": "13rem", "flex": "0 0 auto"},
            tooltip="Ask every enabled Region what it offers, costs and leaves of its quotas",
        )
        self._button.on_click(lambda _: desk.compare())
        self._told = widgets.html()
        self._table = widgets.html()
        self.box = widgets.column(
            [
                region,
                widgets.html(drawing.small(why("region"), "8.5rem")),
                version,
                widgets.html(drawing.small(why("cluster_version"), "8.5rem")),
                widgets.row([self._button, self._told]),
                self._table,
            ]
        )

    def refresh(self) -> None:
        """Show the Regions as the last survey saw them."""
        desk = self._desk
        options = regions.options(desk.settings, desk.survey, desk.regions())
        self._region.offer(options, desk.settings.region)
        versions = regions.versions(desk.prospect)
        self._version.offer(versions, desk.settings.cluster_version)
        asking = "survey" in desk.busy
        self._button.disabled = asking
        told = regions.told(desk.settings, desk.survey)
        self._told.value = drawing.small("Looking at all Regions …" if asking else told)
        table = survey_shown.html(desk.survey) if desk.survey else ""
        self._table.value = table and (
            f"<details><summary>All Regions side by side</summary>{table}</details>"
        )


class Addons:
    """The catalogue by group, and the settings beside it."""

    def __init__(self, desk: Desk, others: tuple[str, ...]) -> None:
        self._desk = desk
        self._switches: dict[str, Input] = {}
        self._texts: dict[str, Any] = {}
        rows: list[Any] = []
        for title, members in addons.grouped().items():
            rows += [widgets.html(drawing.group(title))] if members else []
            for addon in members:
                rows += self._addon(addon.name, addon.title)
        self._others = Fields(desk, others)
        rows += [widgets.html(drawing.group("Beside them")), self._others.box]
        self.box = widgets.column(rows)

    def refresh(self) -> None:
        """Show which are on."""
        settings = self._desk.settings
        for name, text in self._texts.items():
            addon = catalogue()[name]
            self._switches[name].show(is_on(addon, settings))
            text.value = drawing.addon(addon, settings)
        self._others.refresh()

    def _addon(self, name: str, title: str) -> list[Any]:
        each = Input(widgets.checkbox(title), partial(self._desk.switch, name))
        self._switches[name], self._texts[name] = each, widgets.html()
        return [each.box, self._texts[name]]


class Accelerators:
    """A row per family, and for the chosen ones how they are bought."""

    def __init__(self, desk: Desk, others: tuple[str, ...]) -> None:
        self._desk = desk
        self._switches: dict[str, Input] = {}
        self._facts: dict[str, Any] = {}
        self._rows: dict[str, Any] = {}
        self._pools: dict[str, tuple[Several, Input, Any]] = {}
        for row in accelerators.rows(desk.settings, desk.prospect):
            self._rows[row.family] = self._family(row.family, row.title)
        self._others = Fields(desk, others)
        title = widgets.html(drawing.group("Beside them"))
        self.box = widgets.column([*self._rows.values(), title, self._others.box])

    def refresh(self) -> None:
        """Show what is known of each family, and what is chosen."""
        chosen = accelerators.pools(self._desk.draft.input("accelerators"))
        for row in accelerators.rows(self._desk.settings, self._desk.prospect):
            self._facts[row.family].value = drawing.family(row)
            self._switches[row.family].show(row.family in chosen)
            self._refresh_pool(row.family, chosen.get(row.family))
        self._others.refresh()

    def _refresh_pool(self, name: str, pool: Mapping[str, Any] | None) -> None:
        if pool is not None and name not in self._pools:
            self._pools[name] = self._pool(name)
            self._rows[name].children = (*self._rows[name].children, self._pools[name][2])
        if name in self._pools:
            capacity, most, box = self._pools[name]
            widgets.shown(box, pool is not None)
            if pool is not None:
                capacity.show(pool["capacity"])
                most.show(pool["max_vcpus"])

    def _family(self, name: str, title: str) -> Any:
        box = widgets.checkbox(f"{name} · {title}")
        self._switches[name] = Input(box, partial(self._desk.choose, name))
        self._facts[name] = widgets.html()
        return widgets.column([box, self._facts[name]])

    def _pool(self, name: str) -> tuple[Several, Input, Any]:
        capacity = Several(
            accelerators.CAPACITIES,
            f"{name} is bought as",
            lambda given: self._desk.adjust(name, capacity=given),
        )
        box = w.IntText(
            description=f"{name} at most (vCPUs)",
            style={"description_width": "initial"},
            layout={"width": "13.5rem"},
        )
        most = Input(box, lambda given: self._desk.adjust(name, max_vcpus=given))
        capacity.box.children[0].layout.width = "auto"
        both = widgets.row([capacity.box, box], margin="0 0 6px 22px", flex_flow="row wrap")
        return capacity, most, both


def pane(desk: Desk, section: Section) -> Pane:
    """The pane of a section."""
    match section.name:
        case "Region":
            return Regions(desk)
        case "Add-ons":
            return Addons(desk, section.fields[2:])
        case "Accelerators":
            return Accelerators(desk, section.fields[1:])
        case _:
            return Fields(desk, section.fields)
