"""The command line. Commands import their dependencies when they run: `--help` stays fast."""

from jarkkit.cli.app import main

__all__ = ["main"]
