"""Where a run's files are, given by `loadtests.run` to the Locust process through its environment."""

import os
from dataclasses import dataclass
from pathlib import Path

LOAD_FILE = "TESTBED_LOAD_FILE"
START_FILE = "TESTBED_START_FILE"
OUTPUT = "TESTBED_LOAD_OUTPUT"

DEFAULT_LOAD_FILE = Path("/run/load/load.json")
DEFAULT_START_FILE = Path("/run/load/start")
DEFAULT_OUTPUT = Path("/var/log/testbed/load")
CONFIG_FILE = Path("/etc/testbed/config.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    load_file: Path = DEFAULT_LOAD_FILE
    start_file: Path = DEFAULT_START_FILE
    output: Path = DEFAULT_OUTPUT

    def render_environment(self) -> dict[str, str]:
        return {LOAD_FILE: str(self.load_file), START_FILE: str(self.start_file), OUTPUT: str(self.output)}


def read_settings() -> Settings:
    return Settings(
        load_file=Path(os.environ.get(LOAD_FILE, DEFAULT_LOAD_FILE)),
        start_file=Path(os.environ.get(START_FILE, DEFAULT_START_FILE)),
        output=Path(os.environ.get(OUTPUT, DEFAULT_OUTPUT)),
    )
