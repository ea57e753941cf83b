"""`python -m orchestrator.cli` is `testbed`."""

from orchestrator.cli import main

main()
