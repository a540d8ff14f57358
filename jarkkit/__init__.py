"""jarkkit: the JARK stack on Amazon EKS, one notebook at a time, rehearsed first.

The names in `__all__` are the public API; docs/library.md shows them in use. They are imported on
first use, so that `import jarkkit` stays fast. No module of the package imports from here, except
for the version.
"""

import sys

TYPE_CHECKING = False  # a type checker takes it as true; importing typing takes milliseconds

if TYPE_CHECKING:
    from jarkkit.deployment import Deployment
    from jarkkit.model.checks import Check, Report
    from jarkkit.model.errors import JarkkitError
    from jarkkit.model.records import DeployResult, Event, Plan, Receipt
    from jarkkit.model.step_generators import run_to_end
    from jarkkit.settings import Settings

__version__ = "0.2.0"

__all__ = [
    "Check",
    "DeployResult",
    "Deployment",
    "Event",
    "JarkkitError",
    "Plan",
    "Receipt",
    "Report",
    "Settings",
    "__version__",
    "run_to_end",
]

_MODULES = {
    "Check": "model.checks",
    "DeployResult": "model.records",
    "Deployment": "deployment",
    "Event": "model.records",
    "JarkkitError": "model.errors",
    "Plan": "model.records",
    "Receipt": "model.records",
    "Report": "model.checks",
    "Settings": "settings",
    "run_to_end": "model.step_generators",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    _show_values_in_notebooks()
    return value


def _show_values_in_notebooks() -> None:
    """Let IPython show the library's values as HTML, if this program is a notebook."""
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        from importlib import import_module

        import_module(f"{__name__}.render.display").register_formatters()


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
