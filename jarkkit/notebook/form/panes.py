"""The sections of the form as widgets. A pane is created when you first open it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

import ipywidgets as w

from jarkkit.notebook.form import accelerators, addons, regions, widgets
from jarkkit.notebook.form.controller import FormController
from jarkkit.notebook.form.fields import description
from jarkkit.notebook.form.sections import Section, is_relevant
from jarkkit.notebook.form.widgets import CheckboxGroup, Input, NumberInput
from jarkkit.render import form as html
from jarkkit.render.html import html as render_html
from jarkkit.render.markup import collapsed


class Pane(Protocol):
    """One section."""

    box: Any

    def refresh(self) -> None:
        """Show the current state."""


class FieldsPane:
    """A column of settings, each with its description."""

    def __init__(self, controller: FormController, names: tuple[str, ...]) -> None:
        self._controller = controller
        self._inputs = {
            name: widgets.make_input(name, partial(self._on_change, name)) for name in names
        }
        self._rows = {
            name: widgets.column([each.box, widgets.html(html.small(description(name), "22px"))])
            for name, each in self._inputs.items()
        }
        if "name" in names:  # a deployment keeps its name
            self._inputs["name"].box.disabled = True
        self.box = widgets.column(list(self._rows.values()))

    def refresh(self) -> None:
        """Show the edited values, and only relevant settings."""
        for name, each in self._inputs.items():
            each.set_value(self._controller.draft.input(name))
            widgets.set_visible(self._rows[name], is_relevant(name, self._controller.draft.input))

    def _on_change(self, name: str, value: Any) -> None:
        self._controller.update({name: value})


class RegionsPane:
    """The Region and the Kubernetes version, with the region comparison."""

    def __init__(self, controller: FormController) -> None:
        self._controller = controller
        region, version = (
            widgets.dropdown(title, description(name))
            for name, title in (("region", "Region"), ("cluster_version", "Kubernetes"))
        )
        self._region = Input(region, controller.change_region)
        self._version = Input(version, lambda given: controller.update({"cluster_version": given}))
        self._button = w.Button(
            description="Compare all Regions",
            icon="globe",
            layout={"width": "13rem", "flex": "0 0 auto"},
            tooltip="Compare availability, prices and free quotas of all enabled Regions",
        )
        self._button.on_click(lambda _: controller.compare_regions())
        self._status = widgets.html()
        self._table = widgets.html()
        self.box = widgets.column(
            [
                region,
                widgets.html(html.small(description("region"), "8.5rem")),
                version,
                widgets.html(html.small(description("cluster_version"), "8.5rem")),
                widgets.row([self._button, self._status]),
                self._table,
            ]
        )

    def refresh(self) -> None:
        """Show the Regions with the results of the last comparison."""
        controller = self._controller
        options = regions.options(controller.settings, controller.comparison, controller.regions)
        self._region.set_options(options, controller.settings.region)
        versions = regions.versions(controller.region_snapshot)
        self._version.set_options(versions, controller.settings.cluster_version)
        comparing = "comparison" in controller.busy
        self._button.disabled = comparing
        text = regions.comparison_text(controller.settings, controller.comparison)
        self._status.value = html.small("Comparing all Regions …" if comparing else text)
        table = render_html(controller.comparison) if controller.comparison else ""
        self._table.value = table and collapsed("All Regions side by side", table)


class AddonsPane:
    """The catalog by group, and the related settings."""

    def __init__(self, controller: FormController, others: tuple[str, ...]) -> None:
        self._controller = controller
        self._switches: dict[str, Input] = {}
        self._texts: dict[str, Any] = {}
        rows: list[Any] = []
        for title, members in addons.addons_by_group(controller.stack.catalog).items():
            rows += [widgets.html(html.group(title))] if members else []
            for addon in members:
                rows += self._addon(addon.name, addon.title)
        self._others = FieldsPane(controller, others)
        rows += [widgets.html(html.group("Related settings")), self._others.box]
        self.box = widgets.column(rows)

    def refresh(self) -> None:
        """Show which add-ons are on."""
        stack = self._controller.stack
        for name, text in self._texts.items():
            self._switches[name].set_value(stack.is_enabled(name))
            text.value = html.addon(stack.catalog[name], addons.notes(stack.catalog[name], stack))
        self._others.refresh()

    def _addon(self, name: str, title: str) -> list[Any]:
        each = Input(widgets.checkbox(title), partial(self._controller.switch_addon, name))
        self._switches[name], self._texts[name] = each, widgets.html()
        return [each.box, self._texts[name]]


class AcceleratorsPane:
    """A row per family; for selected families also the purchase options."""

    def __init__(self, controller: FormController, others: tuple[str, ...]) -> None:
        self._controller = controller
        self._switches: dict[str, Input] = {}
        self._facts: dict[str, Any] = {}
        self._rows: dict[str, Any] = {}
        self._pools: dict[str, tuple[CheckboxGroup, NumberInput, Any]] = {}
        for row in accelerators.rows(controller.settings, controller.region_snapshot):
            self._rows[row.family] = self._family(row.family, row.title)
        self._others = FieldsPane(controller, others)
        title = widgets.html(html.group("Related settings"))
        self.box = widgets.column([*self._rows.values(), title, self._others.box])

    def refresh(self) -> None:
        """Show the facts about each family, and the selection."""
        selected = accelerators.pools_by_family(self._controller.draft.input("accelerators"))
        for row in accelerators.rows(self._controller.settings, self._controller.region_snapshot):
            self._facts[row.family].value = html.family(
                row.size,
                row.availability,
                row.price,
                [(quota.mark, quota.text) for quota in row.quotas],
                row.needed_vcpus,
            )
            self._switches[row.family].set_value(row.family in selected)
            self._refresh_pool(row.family, selected.get(row.family))
        self._others.refresh()

    def _refresh_pool(self, name: str, pool: Mapping[str, Any] | None) -> None:
        if pool is not None and name not in self._pools:
            self._pools[name] = self._pool(name)
            self._rows[name].children = (*self._rows[name].children, self._pools[name][2])
        if name in self._pools:
            capacity, most, box = self._pools[name]
            widgets.set_visible(box, pool is not None)
            if pool is not None:
                capacity.set_value(pool["capacity"])
                most.set_value(pool["max_vcpus"])

    def _family(self, name: str, title: str) -> Any:
        box = widgets.checkbox(f"{name} · {title}")
        self._switches[name] = Input(box, partial(self._controller.select_family, name))
        self._facts[name] = widgets.html()
        return widgets.column([box, self._facts[name]])

    def _pool(self, name: str) -> tuple[CheckboxGroup, NumberInput, Any]:
        capacity = CheckboxGroup(
            accelerators.CAPACITIES,
            f"{name} purchase options",
            lambda given: self._controller.edit_pool(name, capacity=given),
        )
        box = w.Text(
            continuous_update=False,
            description=f"{name} at most (vCPUs)",
            style={"description_width": "initial"},
            layout={"width": "13.5rem"},
        )
        most = NumberInput(box, lambda given: self._controller.edit_pool(name, max_vcpus=given))
        capacity.box.children[0].layout.width = "auto"
        both = widgets.row([capacity.box, box], margin="0 0 6px 22px", flex_flow="row wrap")
        return capacity, most, both


def make_pane(controller: FormController, section: Section) -> Pane:
    """Create the pane of a section."""
    match section.name:
        case "Region":
            return RegionsPane(controller)
        case "Add-ons":
            return AddonsPane(controller, section.fields[2:])
        case "Accelerators":
            return AcceleratorsPane(controller, section.fields[1:])
        case _:
            return FieldsPane(controller, section.fields)
