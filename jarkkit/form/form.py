"""The form as a notebook's cell has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from IPython.display import publish_display_data

from jarkkit.form import static
from jarkkit.form.desk import Desk
from jarkkit.kit import Kit
from jarkkit.settings import Settings

if TYPE_CHECKING:
    from jarkkit.form.page import Page

# What was asked minutes ago is there at once; what has to be asked for comes when it is there.
_WAIT_SECONDS = 0.3


class Form:
    """The settings of a deployment, to be changed; `value` is what stands in it.

    Not editable (headless) it shows the same as tables. Only stock widgets are used, so that it
    looks the same in JupyterLab, on a hub and in VS Code.

    Args:
        changes: other values than the saved ones to begin with. Raises JK-SETTINGS-…
    """

    def __init__(
        self, kit: Kit, changes: Mapping[str, Any] | None = None, *, editable: bool = True
    ) -> None:
        self.desk = Desk(kit, changes)
        self._editable = editable
        self._page: Page | None = None

    @property
    def value(self) -> Settings:
        """The settings as they stand in the form. Raises JK-SETTINGS-…"""
        return self.desk.draft.settings

    @property
    def page(self) -> Page:
        """The widgets, made when they are first wanted."""
        if self._page is None:
            from jarkkit.form.page import Page  # nobody pays for widgets who sees none

            self._page = Page(self.desk)
        return self._page

    def _ipython_display_(self) -> None:
        bundle: dict[str, Any] = {}
        if self._editable:
            self.desk.look(_WAIT_SECONDS)
            bundle = dict(self.page.box._repr_mimebundle_())
        else:
            self.desk.look_now()
        publish_display_data({**bundle, **self._plain()})

    def _plain(self) -> dict[str, str]:
        """For the saved notebook, and for whoever cannot show widgets."""
        desk, lines = self.desk, self.desk.outlook()
        return {
            "text/html": static.html(desk.settings, desk.prospect, desk.survey, lines),
            "text/plain": static.text(desk.settings, lines),
        }
