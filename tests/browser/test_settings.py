"""The form: settings changed with the mouse and by keyboard, their cost followed, and saved."""

from __future__ import annotations

import re
import time

from playwright.sync_api import Locator, expect

from tests.browser.conftest import Server
from tests.browser.pages import Lab, Notebook

# Until a change is answered, also on a machine that is busy with other things.
ANSWER_SECONDS = 2.0


def opened(lab: Lab, deployment: str) -> Locator:
    """The form of a deployment."""
    notebook = lab.open("02-configure").about(deployment)
    return notebook.run("ui.form(kit, changes)").output.locator(".jarkkit-form")


def section(form: Locator, name: str) -> None:
    form.locator(".jarkkit-nav").get_by_role("button", name=re.compile(name)).click()


def cost(form: Locator) -> str:
    """The bar at the top: what it costs and how long it takes."""
    return form.locator(".widget-html").nth(1).inner_text()


def test_settings_are_changed_with_the_mouse_and_by_keyboard(lab: Lab, server: Server) -> None:
    place = server.deployment("chosen")
    form, keyboard = opened(lab, "chosen"), lab.page.keyboard

    region = form.get_by_label("Region", exact=True)  # by keyboard: a list takes what is typed
    region.focus()
    keyboard.type("us-east-1")
    expect(form.get_by_text(re.compile("us-east-1")).first).to_be_visible()

    section(form, "Size")  # with the mouse
    before = cost(form)
    nodes = form.get_by_label("Core nodes", exact=True)
    nodes.click()
    keyboard.press("Control+a")
    keyboard.type("4")
    began = time.monotonic()
    keyboard.press("Tab")
    while cost(form) == before:
        assert time.monotonic() - began < ANSWER_SECONDS, before
        lab.page.wait_for_timeout(20)

    section(form, "Add-ons")
    addon = form.get_by_label("OpenCost", exact=True)
    expect(addon).to_be_visible()  # the section takes a moment to open
    addon.focus()
    keyboard.press("Space")
    expect(addon).not_to_be_checked()
    expect(form.get_by_text("not asked yet")).to_have_count(0)  # of the Region's quotas
    lab.picture("02-configure", form)

    form.get_by_role("button", name="Save").click()
    expect(form.get_by_text(re.compile("Saved")).first).to_be_visible()
    settings = place.kit.settings
    assert (settings.region, settings.core_nodes) == ("us-east-1", 4)
    assert settings.addons["opencost"] is False
    Notebook(lab.page).run("kit.configure(form.value)", "ui.must(")


def test_a_value_that_cannot_work_is_told_in_the_form_and_not_saved(
    lab: Lab, server: Server
) -> None:
    place = server.deployment("refused")
    before = place.kit.settings
    form = opened(lab, "refused")
    section(form, "Network")
    form.get_by_label(re.compile("^Availability Zones")).fill("9")
    lab.page.keyboard.press("Tab")
    expect(form.get_by_text("JK-SETTINGS-INVALID").first).to_be_visible()
    form.get_by_role("button", name="Save").click()
    lab.picture("02-refused", form)
    assert place.kit.settings == before
