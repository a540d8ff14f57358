"""The table of contents: the notebooks, and the progress of this deployment."""

from __future__ import annotations

from jarkkit.decisions.notebook_progress import TableOfContents, step_marks
from jarkkit.deployment import Deployment
from jarkkit.model.records import Step
from jarkkit.ports.paths import notebooks_folder

# The step of each notebook, by number.
_STEPS: dict[str, Step] = {
    "01": "preflight",
    "02": "configure",
    "03": "plan",
    "04": "deploy",
    "05": "verify",
    "06": "use",
    "08": "cleanup",
}


def contents(deployment: Deployment) -> TableOfContents:
    """Return the notebooks with links and this deployment's progress. Makes no calls."""
    names = [path.stem for path in sorted(notebooks_folder().glob("[0-9][0-9]-*.ipynb"))]
    steps = step_marks(
        deployment.ledger_entries(),
        deployment.settings.digest(),
        running=deployment.workspace.is_locked,
    )
    marks = {number: steps.get(step, "") for number, step in _STEPS.items()}
    marks["00"] = "done"  # notebook 00 has created this deployment
    marks["07"] = (
        "done" if deployment.last_report("diagnose") else ""
    )  # not in the ledger: it changes nothing
    return TableOfContents(
        deployment.name, tuple((name, marks.get(name[:2], "")) for name in names)
    )
