"""Runs the real `testbed` command as a user does, and looks at what it leaves on disk and on the engine."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = Path(__file__).resolve().parent / "scenarios"
RUN_LABEL = "ingress-testbed.run"
COMMAND = (sys.executable, "-m", "orchestrator.cli")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A finished `testbed` command and the run directory that it wrote, if any."""

    status: int
    output: str
    directory: Path | None

    @property
    def outcome(self) -> dict[str, Any]:
        assert self.directory is not None, self.output
        loaded: dict[str, Any] = json.loads((self.directory / "outcome.json").read_text(encoding="utf-8"))
        return loaded

    @property
    def run_id(self) -> str:
        assert self.directory is not None, self.output
        return self.directory.resolve().name


class Testbed:
    """`testbed` with a results directory of this test's own."""

    __test__ = False

    def __init__(self, results: Path) -> None:
        self.results = results
        self._running: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a signal for it must not reach the test
        )
        self._running.append(process)
        return process

    def finish(self, process: subprocess.Popen[str], *, deadline_s: float = 120) -> Finished:
        output, _ = process.communicate(timeout=deadline_s)
        directories = sorted(item.parent.resolve() for item in self.results.glob("*/*/plan.json") if not item.parent.is_symlink())
        return Finished(status=process.returncode, output=output, directory=directories[-1] if directories else None)

    def __call__(self, *arguments: str, deadline_s: float = 120, **environment: str) -> Finished:
        return self.finish(self.start(*arguments, **environment), deadline_s=deadline_s)

    def run(self, scenario: str, *arguments: str, deadline_s: float = 120) -> Finished:
        return self("run", str(SCENARIOS / scenario), "--results", str(self.results), *arguments, deadline_s=deadline_s)

    def stop_all(self) -> None:
        for process in self._running:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGINT)
                process.communicate(timeout=60)


Left = Callable[[str], list[str]]
