"""The API for notebooks: widgets that only edit values, and displays that only show them.

Headless (JARKKIT_HEADLESS is set), the same cells run unattended: a form returns its initial
values, and a step runs to its end before the cell returns.
"""

from jarkkit.notebook.ui.contents import contents
from jarkkit.notebook.ui.drill_session import check_answer, drill, drills
from jarkkit.notebook.ui.follow_step import follow
from jarkkit.notebook.ui.inputs import (
    Confirmation,
    DeployConsent,
    confirmation,
    deploy_consent,
    form,
)
from jarkkit.notebook.ui.launch import RunningStep, start
from jarkkit.notebook.ui.open_deployment import HEADLESS, create, is_headless, open
from jarkkit.notebook.ui.outputs import check
from jarkkit.render.display import register_formatters
from jarkkit.render.summaries import last_apply, picture, summary

__all__ = [
    "HEADLESS",
    "Confirmation",
    "DeployConsent",
    "RunningStep",
    "check",
    "check_answer",
    "confirmation",
    "contents",
    "create",
    "deploy_consent",
    "drill",
    "drills",
    "follow",
    "form",
    "is_headless",
    "last_apply",
    "open",
    "picture",
    "start",
    "summary",
]

register_formatters()
