"""The form: settings are changed with mouse and keyboard, their cost is updated, and saved."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

from tests.browser.pages import Lab, Notebook
from tests.browser.server import Server


def open_form(lab: Lab, deployment: str) -> Locator:
    """Open the form of a deployment."""
    notebook = lab.open("02-configure").use_deployment(deployment)
    return notebook.run("ui.form(jark, changes)").output.locator(".jarkkit-form")


def open_section(form: Locator, name: str) -> None:
    form.locator(".jarkkit-nav").get_by_role("button", name=re.compile(name)).click()


def cost_bar(form: Locator) -> Locator:
    """Return the bar at the top of the form, with cost and duration."""
    return form.locator(".widget-html").nth(1)


def test_settings_can_be_changed_with_mouse_and_keyboard(lab: Lab, server: Server) -> None:
    cli_deployment = server.new_cli_deployment("chosen")
    form, keyboard = open_form(lab, "chosen"), lab.page.keyboard

    region = form.get_by_label(
        "Region", exact=True
    )  # with the keyboard: a list selects what you type
    region.focus()
    keyboard.type("us-east-1")
    expect(form.get_by_text(re.compile("us-east-1")).first).to_be_visible()

    open_section(form, "Size")  # with the mouse
    before = cost_bar(form).text_content() or ""
    nodes = form.get_by_label("Core nodes", exact=True)
    nodes.click()
    keyboard.press("Control+a")
    keyboard.type("4")
    keyboard.press("Tab")
    expect(cost_bar(form)).not_to_have_text(before)

    open_section(form, "Add-ons")
    addon = form.get_by_label("OpenCost", exact=True)
    expect(addon).to_be_checked(timeout=30_000)  # the section needs a moment to open
    addon.focus()
    keyboard.press("Space")
    expect(addon).not_to_be_checked()
    expect(form.get_by_text("not checked yet")).to_have_count(0)  # the Region's quotas
    lab.screenshot("02-configure", form)

    form.get_by_role("button", name="Save").click()
    expect(form.get_by_text(re.compile("Saved")).first).to_be_visible()
    settings = cli_deployment.deployment.settings
    assert (settings.region, settings.core_nodes) == ("us-east-1", 4)
    assert settings.addons["opencost"] is False
    Notebook(lab.page).run("jark.configure(form.value)", "ui.check(")


def test_an_invalid_value_is_reported_in_the_form_and_not_saved(lab: Lab, server: Server) -> None:
    cli_deployment = server.new_cli_deployment("refused")
    before = cli_deployment.deployment.settings
    form = open_form(lab, "refused")
    open_section(form, "Network")
    form.get_by_label(re.compile("^Availability Zones")).fill("9")
    lab.page.keyboard.press("Tab")
    expect(form.get_by_text("JK-SETTINGS-INVALID").first).to_be_visible()
    form.get_by_role("button", name="Save").click()
    lab.screenshot("02-refused", form)
    assert cli_deployment.deployment.settings == before
