"""Check in advance whether a deployment will work here, without stopping at a failure."""

from jarkkit.steps.preflight.registry import CHECKS, check_tools, preflight
from jarkkit.steps.preflight.runner import CheckContext

__all__ = ["CHECKS", "CheckContext", "check_tools", "preflight"]
