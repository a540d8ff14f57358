"""Input widgets: they only edit a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from IPython.display import display

from jarkkit.deployment import Deployment
from jarkkit.notebook.form import Form
from jarkkit.notebook.ui.open_deployment import is_headless
from jarkkit.render.html import losses_html
from jarkkit.render.markup import HtmlText, paragraph, sentence


def form(deployment: Deployment, changes: Mapping[str, Any] | None = None) -> Form:
    """Return the settings as a form with `changes` filled in; `value` holds the edited settings."""
    return Form(deployment, changes, editable=not is_headless())


@dataclass
class Confirmation:
    """Text box for the deployment's name; `value` is the typed text."""

    name: str
    given: str
    _box: Any = None

    @property
    def value(self) -> str:
        """The notebook parameter, or else the typed text."""
        return self.given or (self._box.value if self._box is not None else "")

    def _ipython_display_(self) -> None:
        if self.given or is_headless():
            display(sentence(f"Confirmed: `{self.given or '(nothing)'}`"))
            return
        self._box = _name_box(self.name, "to destroy it")
        display(self._box)


@dataclass
class DeployConsent:
    """What a deploy needs your word for: the cost in a real account, and what its plan loses.

    `agree` and `confirm` are the notebook's parameters, or else what you clicked and typed.
    """

    deployment: Deployment
    given_agree: bool
    given_confirm: str
    _agree_box: Any = None
    _name_box: Any = None

    @property
    def agree(self) -> bool:
        """Whether you agree to the cost."""
        return self.given_agree or bool(self._agree_box is not None and self._agree_box.value)

    @property
    def confirm(self) -> str:
        """The deployment's name, as you typed it."""
        return self.given_confirm or (self._name_box.value if self._name_box is not None else "")

    def _ipython_display_(self) -> None:
        plan = self.deployment.unapplied_plan()
        losing = plan is not None and plan.needs_confirmation
        display(HtmlText(paragraph(self._cost()) + (losses_html(plan) if plan else "")))
        if is_headless():
            words = f"agree = {self.agree}, confirm_destroy = {self.confirm or '(nothing)'}"
            display(sentence(f"`{words}`"))
            return
        if not self.deployment.rehearsal and not self.given_agree:
            self._agree_box = self._checkbox()
            display(self._agree_box)
        if losing and not self.given_confirm:
            self._name_box = _name_box(self.deployment.name, "to lose that")
            display(self._name_box)

    def _cost(self) -> str:
        if self.deployment.rehearsal:
            return "This is a rehearsal: it costs nothing."
        return f"This is a real AWS account. {self.deployment.bill().summary}"

    def _checkbox(self) -> Any:
        import ipywidgets

        region = self.deployment.settings.region
        return ipywidgets.Checkbox(
            description=f"Deploy {self.deployment.name} in {region} at this cost",
            indent=False,
            layout={"width": "32rem"},
        )


def deploy_consent(
    deployment: Deployment, agree: bool = False, confirm_destroy: str = ""
) -> DeployConsent:
    """Return the cell that asks before a deploy spends money or loses what users have."""
    return DeployConsent(deployment, agree, confirm_destroy)


def _name_box(name: str, purpose: str) -> Any:
    import ipywidgets

    return ipywidgets.Text(
        placeholder=name,
        description=f"Type “{name}” {purpose}:",
        style={"description_width": "initial"},
        layout={"width": "32rem"},
    )


def confirmation(deployment: Deployment, given: str = "") -> Confirmation:
    """Return the confirmation widget that a cleanup needs."""
    return Confirmation(deployment.name, given)
