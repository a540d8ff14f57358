"""The form: settings changed with the mouse and by keyboard, and saved."""

from __future__ import annotations

import re

from tests.browser.conftest import Server
from tests.browser.pages import Lab, Notebook


def test_settings_are_changed_with_the_mouse_and_by_keyboard(lab: Lab, server: Server) -> None:
    place = server.deployment("chosen")
    form = lab.open("02-configure").about("chosen").run("ui.form(kit, changes)").output
    region = form.get_by_label("Region")
    region.click()
    lab.page.keyboard.press("Control+a")
    lab.page.keyboard.type("us-east-1")
    lab.page.keyboard.press("Tab")
    form.get_by_role("tab", name="Add-ons").click()
    addons = form.get_by_label("Add-ons", exact=True)
    addons.focus()
    lab.page.keyboard.press("Control+a")
    lab.page.keyboard.type('{"opencost": false}')
    lab.page.keyboard.press("Tab")
    form.get_by_text("2 changed").wait_for()
    lab.picture("02-configure", form)
    Notebook(lab.page).run("kit.configure(form.value)", "ui.must(")
    settings = place.kit.settings
    assert settings.region == "us-east-1"
    assert settings.addons == {"opencost": False}


def test_a_value_that_cannot_work_is_told_in_the_form_and_not_saved(
    lab: Lab, server: Server
) -> None:
    place = server.deployment("refused")
    before = place.kit.settings
    notebook = lab.open("02-configure").about("refused")
    form = notebook.run("ui.form(kit, changes)").output
    form.get_by_role("tab", name="Network").click()
    form.get_by_label(re.compile("^Availability Zones")).fill("9")
    lab.page.keyboard.press("Tab")
    form.get_by_text("JK-SETTINGS-INVALID").first.wait_for()
    refused = notebook.cell("kit.configure(form.value)").run().done()
    assert "JK-SETTINGS-INVALID" in refused.output.inner_text()
    assert place.kit.settings == before
