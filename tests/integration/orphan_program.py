"""Brings up a bare testbed and waits to be killed; run by a test as a process of its own: `DIRECTORY [keep]`."""

import sys
import threading
from pathlib import Path

from tests.integration.testbed_lab import bare_testbed


def main(directory: str, *options: str) -> None:
    with bare_testbed(Path(directory)) as testbed:
        sys.stdout.write(f"{testbed._claim.run.run_id}\n")
        sys.stdout.flush()
        if "keep" in options:
            testbed.keep()
            return
        threading.Event().wait(120)


if __name__ == "__main__":
    main(*sys.argv[1:])
