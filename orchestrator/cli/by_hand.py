"""What the commands on a testbed that is up share: how one is opened, and how their words are read and printed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.experiment import Observer
    from orchestrator.session import Session

UpArgument = Annotated[str, typer.Argument(metavar="RUN", help="run id, run directory, or a scenario's name; see testbed status")]


@contextmanager
def open_kept(run: str, results: Path, observer: "Observer | None" = None) -> Iterator["Session"]:
    """The testbed of a run that is up. Raises UsageError when it is not."""
    from orchestrator.cli.environment import reach_host
    from orchestrator.session import open_session
    from orchestrator.store import find_run

    directory = find_run(run, results)
    with (
        reach_host(directory.load_images()) as host,
        open_session(host, directory, observer=observer) as session,
    ):
        yield session


def only_new(display: "Observer") -> "Observer":
    """What the engine had kept is read again when a session opens, and is no news."""
    import time

    since_ns = time.monotonic_ns()

    def show(event: object) -> None:
        from orchestrator.model.history import Event

        if isinstance(event, Event) and event.t_mono_ns >= since_ns:
            display(event)

    return show


def read_seconds(option: str, text: str) -> float:
    """More than none. Raises UsageError that names the option."""
    from orchestrator.scenario.quantities import parse_duration_s

    try:
        seconds = parse_duration_s(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: {error}") from None
    if seconds <= 0:
        raise UsageError(f"{option} {text}: is too short; allowed: more than 0s")
    return seconds


def table_of(*headings: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
