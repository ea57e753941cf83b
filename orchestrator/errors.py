"""Every error that the orchestrator raises on purpose, with its exit code. An SLO that is missed is data, never an exception.

TestbedError
 |- UsageError              64  the user's input is wrong; nothing was started
 |   '- ScenarioError           a scenario or manifest file: file, path of the key, found, allowed
 |- EnvironmentUnmetError    4  no engine, a missing kernel feature, no free subnet
 |- InternalError           70  our own machinery failed
 |   |- EngineError             the Docker Engine refused or lost a call
 |   |- CommandError            a command on the host or in a container failed
 |   '- DeadlineError           a wait ended without its condition
 '- InterruptedRunError    130  SIGINT or SIGTERM, after clean-up
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """Stable exit codes of `testbed`; documented in README.md."""

    PASS = 0
    SLO_FAILED = 1
    INVALID = 2
    REGRESSION = 3
    ENVIRONMENT_UNMET = 4
    USAGE = 64
    INTERNAL = 70
    INTERRUPTED = 130


class TestbedError(Exception):
    """Root of the tree. `hint` says what the user can do next."""

    __test__ = False  # pytest would otherwise collect it by its name
    exit_code = ExitCode.INTERNAL

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(TestbedError):
    """The command line or a file given by the user is wrong; nothing was started."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with a user's file: the path of the key, what was found there and what is allowed."""

    key: str
    message: str
    found: str | None = None
    allowed: str | None = None

    def __str__(self) -> str:
        text = f"{self.key}: {self.message}" if self.key else self.message
        if self.found is not None:
            text += f"; found {self.found}"
        if self.allowed is not None:
            text += f"; allowed: {self.allowed}"
        return text


class ScenarioError(UsageError):
    """A scenario or manifest file is wrong. The message names the file and every problem in it."""

    def __init__(self, file: Path | str, problems: Sequence[Problem], *, hint: str | None = None) -> None:
        self.file = str(file)
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{self.file}: {problem}" for problem in self.problems), hint=hint)


class EnvironmentUnmetError(TestbedError):
    """The machine lacks something that the run needs."""

    exit_code = ExitCode.ENVIRONMENT_UNMET


class InternalError(TestbedError):
    """Our own machinery failed."""


class EngineError(InternalError):
    """The Docker Engine refused or lost a call."""


class CommandError(InternalError):
    """A command failed. Carries its argv (pastable), exit status and the end of its output."""

    def __init__(self, argv: Sequence[str], status: int, output: str, *, where: str = "host", hint: str | None = None) -> None:
        self.argv = tuple(argv)
        self.status = status
        self.output = output
        tail = "\n".join(output.strip().splitlines()[-20:])
        super().__init__(f"on {where}: `{shlex.join(argv)}` ended with status {status}\n{tail}", hint=hint)


class DeadlineError(InternalError):
    """A wait ended without its condition. Carries the last state seen."""

    def __init__(self, what: str, deadline_s: float, last_state: str, *, hint: str | None = None) -> None:
        self.last_state = last_state
        super().__init__(f"{what} not within {deadline_s:g} s; last state: {last_state}", hint=hint)


class InterruptedRunError(TestbedError):
    """The run was interrupted by a signal; everything of it has been removed, what was measured is kept."""

    exit_code = ExitCode.INTERRUPTED
