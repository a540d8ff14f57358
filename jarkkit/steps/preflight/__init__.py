"""Check in advance whether a deployment will work here, without stopping at a failure."""

from jarkkit.steps.preflight.context import CheckContext
from jarkkit.steps.preflight.registry import CHECKS, check_tools, preflight

__all__ = ["CHECKS", "CheckContext", "check_tools", "preflight"]
