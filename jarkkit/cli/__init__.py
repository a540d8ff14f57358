"""The command line. Commands import what they need when they run: `--help` stays quick."""

from jarkkit.cli.app import main

__all__ = ["main"]
