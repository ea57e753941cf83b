"""HAProxy's Runtime API: one line to the admin socket, one answer back. The only module that opens that socket."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

TIMEOUT_S = 2.0
"""A HAProxy that lives answers within a millisecond; a frozen one never does."""


class RuntimeApiError(Exception):
    """HAProxy did not answer, or not as it should; the message carries the command."""


class RuntimeApi(Protocol):
    """What the agent needs of it."""

    async def ask(self, line: str) -> str:
        """Send one line, with its payload if it has one, and return the answer without surrounding white space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSocket:
    """The real one. A connection per line: HAProxy closes it after the answer, which so has a clear end."""

    path: Path

    async def ask(self, line: str) -> str:
        """Send one line and return the answer.

        Raises:
            RuntimeApiError: no socket, nobody listening, or no complete answer within 2 s.
        """
        try:
            async with asyncio.timeout(TIMEOUT_S):
                reader, writer = await asyncio.open_unix_connection(self.path)
                try:
                    writer.write(line.encode() + b"\n")
                    return (await reader.read()).decode(errors="replace").strip()
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            reason = f"no answer within {TIMEOUT_S:g} s" if isinstance(error, TimeoutError) else str(error)
            # What follows the first line is a payload, and may be a key.
            raise RuntimeApiError(f"{self.path}: {line.partition(chr(10))[0]!r}: {reason}") from error
