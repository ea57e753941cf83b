"""The command `testbed`. Parses, prints and sets exit codes; must not decide or measure anything."""

import sys


def main() -> None:
    """Entry point. The commands are imported inside, so that an interrupt in that time is one as at any other."""
    try:
        from orchestrator.cli.entry import run_command

        status = run_command()
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


__all__ = ["main"]
