"""The command `testbed`. Parses, prints and sets exit codes; must not decide or measure anything."""

from orchestrator.cli.entry import main

__all__ = ["main"]
