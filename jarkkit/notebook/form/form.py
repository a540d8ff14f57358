"""The form as a notebook cell displays it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from IPython.display import publish_display_data

from jarkkit.deployment import Deployment
from jarkkit.notebook.form import read_only_view
from jarkkit.notebook.form.controller import FormController
from jarkkit.settings import Settings

if TYPE_CHECKING:
    from jarkkit.notebook.form.page import FormPage

# Cached AWS responses arrive within this time; others appear in the form when they arrive.
_WAIT_SECONDS = 0.3


class Form:
    """Editable settings of a deployment; `value` holds the edited settings.

    If not editable (headless), it shows the same content as tables. It uses only stock widgets, so
    that it looks the same in JupyterLab, on JupyterHub and in VS Code.

    Args:
        changes: initial values that differ from the saved settings. Raises JK-SETTINGS-…
    """

    def __init__(
        self,
        deployment: Deployment,
        changes: Mapping[str, Any] | None = None,
        *,
        editable: bool = True,
    ) -> None:
        self.controller = FormController(deployment, changes)
        self._editable = editable
        self._page: FormPage | None = None

    @property
    def value(self) -> Settings:
        """The edited settings. Raises JK-SETTINGS-…"""
        return self.controller.draft.settings

    @property
    def page(self) -> FormPage:
        """The widgets, created on first use."""
        if self._page is None:
            from jarkkit.notebook.form.page import (
                FormPage,  # import widgets only when they are shown
            )

            self._page = FormPage(self.controller)
        return self._page

    def _ipython_display_(self) -> None:
        bundle: dict[str, Any] = {}
        if self._editable:
            self.controller.load_region(_WAIT_SECONDS)
            bundle = dict(self.page.box._repr_mimebundle_())
        else:
            self.controller.load_region_now()
        publish_display_data({**bundle, **self._plain()})

    def _plain(self) -> dict[str, str]:
        """Return HTML and text, for the saved notebook and for front ends without widgets."""
        controller, lines = self.controller, self.controller.summary()
        return {
            "text/html": read_only_view.html(
                controller.stack, controller.region_snapshot, controller.comparison, lines
            ),
            "text/plain": read_only_view.text(controller.stack, lines),
        }
