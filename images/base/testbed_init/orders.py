"""The loop of a helper process: orders of init on standard input, one line each, answered with `ok ...` or `error ...`."""

from __future__ import annotations

import os
import select
from typing import Protocol


class Worker(Protocol):
    """What a helper does between and upon orders."""

    def obey(self, verb: str, words: list[str]) -> str | None:
        """Carry an order out and return what to answer; None for one that is not known. Raises OSError."""

    def descriptors(self) -> tuple[int, ...]:
        """File descriptors to wait for."""

    def due_s(self) -> float | None:
        """Seconds until `advance` is wanted, None: not before something comes."""

    def advance(self) -> None:
        """Do what is due and take what has come."""

    def end(self) -> None:
        """Undo everything."""


def serve(worker: Worker) -> None:
    """Until the input ends, which undoes everything: init is gone, or has no more orders."""
    pending = b""
    while True:
        ready, _, _ = select.select([0, *worker.descriptors()], [], [], worker.due_s())
        worker.advance()
        if 0 not in ready:
            continue
        chunk = os.read(0, 4096)
        if not chunk:
            worker.end()
            return
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            os.write(1, f"{answer(worker, line.decode())}\n".encode())


def answer(worker: Worker, line: str) -> str:
    """Carry one line out and render the answer to it."""
    verb, *words = line.split() or [""]
    if not verb:
        return "error no order"
    try:
        result = worker.obey(verb, words)
    except OSError as error:
        return f"error {error.strerror}"
    return f"error unknown order {verb}" if result is None else f"ok {result}"
