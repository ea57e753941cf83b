"""iptables-restore and iptables-save, the effects of iptables mode.

One iptables-restore stays and waits for what comes next (docs/adr/0008). Debian's is the nftables variant (1.8.9); its source:
iptables/xtables-restore.c.
"""

from __future__ import annotations

import contextlib
import subprocess  # noqa: TID251 - iptables has no library
from collections.abc import Collection, Mapping, Sequence
from threading import Timer
from typing import Protocol

from nodeagent.proxy.iptables.restore import TABLES
from nodeagent.proxy.rules import RulesError

DEADLINE_S = 30.0
ENDING_S = 1.0
NO_CHAIN = 1
"""Exit status of iptables where the chain is not there (xtables.h: OTHER_PROBLEM; a lock or a right that it lacks is another)."""
LOCK_WAIT_S = 5
"""Another program that holds the lock of iptables is waited for."""
RESTORE = ("iptables-restore", "--noflush", "--wait", str(LOCK_WAIT_S), "--verbose")
"""Verbose, it repeats comments as soon as it comes to them, and nothing else as long as nothing is flushed."""


class Tools(Protocol):
    """The programs."""

    def restore(self, text: str) -> None:
        """Raises RulesError with the program's words; tables before the one that it refuses are committed."""
        ...

    def save(self) -> Mapping[str, str]:
        """Table -> text. Raises RulesError."""
        ...

    def has_chain(self, table: str, chain: str) -> bool:
        """Without reading the table, which takes 0.6 s with 1,000 Services of 10 endpoints. Raises RulesError."""
        ...


class IptablesTools:
    """Debian's iptables."""

    def __init__(self, argv: Sequence[str] = RESTORE, deadline_s: float = DEADLINE_S) -> None:
        self._argv = argv
        self._deadline_s = deadline_s
        self._waiting: subprocess.Popen[bytes] | None = None
        self._restored = 0

    def restore(self, text: str) -> None:
        """What is refused ends the process; whoever restores next gets another."""
        if self._waiting is not None and self._waiting.poll() is not None:
            self.close()  # somebody ended it while it had nothing to do
        process, self._waiting = self._waiting or self._start(), None
        self._restored += 1
        end = f"# restored {self._restored}\n".encode()
        timer = Timer(self._deadline_s, process.kill)
        timer.start()
        try:
            words = _feed(process, text.encode() + end, until=end)
        finally:
            timer.cancel()
        if words is None:
            self._waiting = process
            return
        _end(process)
        raise RulesError(f"`{' '.join(self._argv)}` gave {process.returncode}: {words or 'no words'}")

    def save(self) -> Mapping[str, str]:
        return {table: _run(["iptables-save", "-t", table], self._deadline_s).stdout for table in TABLES}

    def has_chain(self, table: str, chain: str) -> bool:
        argv = ["iptables", "--wait", str(LOCK_WAIT_S), "-t", table, "-S", chain]
        return _run(argv, self._deadline_s, expected=(0, NO_CHAIN)).returncode == 0

    def close(self) -> None:
        """End the process that waits."""
        process, self._waiting = self._waiting, None
        if process is not None:
            _end(process)

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except OSError as error:
            raise RulesError(f"`{' '.join(self._argv)}`: {error}") from None


def _feed(process: subprocess.Popen[bytes], text: bytes, *, until: bytes) -> str | None:
    """None when the process has come to the line `until`, else the first that it said before it ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError):  # it has ended, and has said why
        process.stdin.write(text)
        process.stdin.flush()
    said = []
    for line in process.stdout:
        if line == until:
            return None
        said.append(line.decode(errors="replace").strip())
    return next(filter(None, said), "")


def _end(process: subprocess.Popen[bytes]) -> None:
    """It ends by itself when nothing can come any more; what it was not told to commit is not."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    process.stdout.close()
    try:
        process.wait(ENDING_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _run(argv: list[str], deadline_s: float, expected: Collection[int] = (0,)) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=deadline_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RulesError(f"`{' '.join(argv)}`: {error}") from None
    if done.returncode not in expected:
        words = done.stderr.strip().splitlines()
        raise RulesError(f"`{' '.join(argv)}` gave {done.returncode}: {words[0] if words else 'no words'}")
    return done
