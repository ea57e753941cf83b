"""`python3 -m loadtests.run`: become the Locust process that carries out /run/load/load.json. Must not import gevent itself."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from loadtests.load_file import LoadFile, LoadFileError, read_load_file
from loadtests.settings import DEFAULT_LOAD_FILE, DEFAULT_OUTPUT, DEFAULT_START_FILE, Settings

HERE = Path(__file__).resolve().parent
USAGE = 64  # sysexits.h EX_USAGE


def render_locust_argv(load: LoadFile, *, locustfile: Path | None, users: int, host: str | None) -> list[str]:
    """The command line of the Locust that carries out this load."""
    model = str(HERE / "locustfile.py") if locustfile is None else f"{HERE / 'closed_model.py'},{locustfile}"
    count = len(load.classes) if locustfile is None else users
    argv = [sys.executable, "-m", "locust", "-f", model, "--headless", "--users", str(count), "--spawn-rate", str(count)]
    argv += ["--loglevel", "INFO"]
    # The table every 2 s would be noise among the events, and work for the sender.
    argv += ["--only-summary"]
    # Failed requests are what the load is for; a load that was not carried out sets its own status.
    argv += ["--exit-code-on-error", "0"]
    if locustfile is not None:
        # Open arrivals end by themselves; a closed user is let finish the request that it is in.
        argv += ["--stop-timeout", f"{load.timeout_s:g}s"]
    return argv if host is None else [*argv, "--host", host]


def render_environment(settings: Settings, inherited: dict[str, str]) -> dict[str, str]:
    paths = [str(HERE.parent), *filter(None, [inherited.get("PYTHONPATH")])]
    return {
        **inherited,
        **settings.render_environment(),
        "PYTHONPATH": os.pathsep.join(paths),
        # gevent otherwise remembers for every greenlet, so for every request, who spawned it.
        "GEVENT_TRACK_GREENLET_TREE": "0",
    }


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    parser = argparse.ArgumentParser(
        prog="python3 -m loadtests.run", description="Carry out a load; see docs/contracts.md section 5."
    )
    parser.add_argument("--load", type=Path, default=DEFAULT_LOAD_FILE)
    parser.add_argument("--start", type=Path, default=DEFAULT_START_FILE, help="file that will hold the start instant")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT)
    parser.add_argument("--locustfile", type=Path, help="a locustfile of your own: its users run instead (closed model)")
    parser.add_argument("--users", type=int, default=1, help="users of that locustfile")
    parser.add_argument("--host", help="host of that locustfile")
    given = parser.parse_args(arguments)
    try:
        load = read_load_file(given.load)
        if given.locustfile is None and not load.classes:
            raise LoadFileError(f"{given.load}: classes: empty; allowed: at least one")
        if given.locustfile is not None and not given.locustfile.is_file():
            raise LoadFileError(f"{given.locustfile}: no such file")
        if given.users < 1:
            raise LoadFileError(f"--users: found {given.users}; allowed: an integer from 1")
    except LoadFileError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(USAGE)
    settings = Settings(load_file=given.load, start_file=given.start, output=given.output)
    argv = render_locust_argv(load, locustfile=given.locustfile, users=given.users, host=given.host)
    sys.stdout.flush()
    os.execve(argv[0], argv, render_environment(settings, dict(os.environ)))


if __name__ == "__main__":
    main()
