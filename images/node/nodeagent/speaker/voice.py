"""How BIRD and keepalived are told: the effects of the speaker. Raises OSError where the daemon is not there (yet)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from nodeagent.speaker.speech import Announcement

BIRD_CONTROL = Path("/run/testbed/bird.ctl")
KEEPALIVED_FILES = Path("/run/testbed")
ANSWER_S = 2.0


class Voice(Protocol):
    async def say(self, announcement: Announcement, *, aloud: bool) -> None:
        """Announce, or be silent; idempotent. Raises OSError, TimeoutError."""


class DaemonVoice:
    """The real one: BIRD's control socket, and the file that keepalived tracks."""

    async def say(self, announcement: Announcement, *, aloud: bool) -> None:
        if announcement.by == "vrrp":
            write_if_changed(KEEPALIVED_FILES / f"vip-{announcement.path}", "0\n" if aloud else "1\n")
            return
        verb = "enable" if aloud else "disable"
        answer = await asyncio.wait_for(ask_bird(BIRD_CONTROL, f"{verb} 'announce:{announcement.path}'"), ANSWER_S)
        if not answer.startswith("0"):
            raise OSError(f"BIRD refuses to {verb} announce:{announcement.path}: {answer}")


def write_if_changed(file: Path, text: str) -> None:
    """keepalived reads the file anew at every write (inotify(7)), and makes it with another value when it starts."""
    if not file.is_file() or file.read_text(encoding="ascii") != text:
        file.write_text(text, encoding="ascii")


async def ask_bird(control: Path, command: str) -> str:
    """The last line of its answer to one command. Lines of an answer begin with a code, and a blank after it ends the answer.

    Source: BIRD 2.0 User's Guide, section 4; BIRD Programmer's Documentation, "Command line interface".
    """
    reader, writer = await asyncio.open_unix_connection(control)
    try:
        await _read_answer(reader)
        writer.write(f"{command}\n".encode())
        await writer.drain()
        return await _read_answer(reader)
    finally:
        writer.close()


async def _read_answer(reader: asyncio.StreamReader) -> str:
    first = ""
    while True:
        line = (await reader.readline()).decode().rstrip("\n")
        if not line:
            raise ConnectionError("BIRD hung up")
        first = first or line
        if line[:4].isdigit() and line[4:5] == " ":
            return first if line[4:].strip() == "" else line
