"""Stacks for tests."""

from __future__ import annotations

from jarkkit.decisions.stack import ResolvedStack

resolved = ResolvedStack.from_settings
