"""The one place where the orchestrator runs commands on this machine."""

import os
import subprocess  # noqa: TID251 - its one home
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.errors import CommandError, DeadlineError


def run_command(
    argv: Sequence[str],
    *,
    deadline_s: float,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> str:
    """Run a command and return its standard output and error, which `log` receives too.

    Raises:
        CommandError: it ended with another status than 0, or does not exist (status 127).
        DeadlineError: it had not ended after `deadline_s`; it is killed then.
    """
    try:
        finished = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=deadline_s,
            env={**os.environ, **(environment or {})},
            check=False,
        )
    except FileNotFoundError:
        raise CommandError(argv, 127, f"{argv[0]}: not found") from None
    except subprocess.TimeoutExpired as error:
        output = error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else error.stdout or ""
        raise DeadlineError(f"`{' '.join(argv)}`", deadline_s, "\n".join(output.splitlines()[-20:]) or "no output") from None
    if log is not None:
        log.write_text(finished.stdout, encoding="utf-8")
    if finished.returncode != 0:
        raise CommandError(argv, finished.returncode, finished.stdout)
    return finished.stdout


class Daemon:
    """A started process that is meant to outlive this one."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process: subprocess.Popen[bytes] | None = process
        self.pid = process.pid

    def exit_status(self) -> int | None:
        """Its exit status (negative: signal), None while it runs."""
        return self._process.poll() if self._process is not None else None

    def release(self) -> None:
        """Stop looking after it: it runs on by itself."""
        with warnings.catch_warnings():
            # The library takes a process that is let go while it runs for one that was forgotten.
            warnings.simplefilter("ignore", ResourceWarning)
            self._process = None


def start_daemon(argv: Sequence[str], *, log: Path) -> Daemon:
    """Start a process that outlives this one, in a session of its own; its output goes to `log`. Raises CommandError."""
    with log.open("ab") as output:
        try:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        except FileNotFoundError:
            raise CommandError(argv, 127, f"{argv[0]}: not found") from None
    return Daemon(process)
