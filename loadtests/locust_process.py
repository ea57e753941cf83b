"""What the open and the closed model share of Locust: the conductor beside its runner, and its end. Must not make requests."""

import csv
import logging
import time
from pathlib import Path

import gevent
from locust.env import Environment  # noqa: TID251 - loadtests/ is Locust's home
from locust.runners import Runner  # noqa: TID251
from locust.stats import PERCENTILES_TO_REPORT, StatsCSV  # noqa: TID251

from loadtests.conductor import Conductor

# sysexits.h EX_SOFTWARE: the load was not carried out, as against requests that failed, which is what the load is for.
NOT_CARRIED_OUT = 70

logger = logging.getLogger("loadtests")
clock = time.monotonic_ns


def attach(environment: Environment, conductor: Conductor, output: Path) -> None:
    """Conduct beside Locust's runner; end Locust when the load is over, and the load when Locust ends."""
    runner = environment.runner
    assert isinstance(runner, Runner), "Locust makes its runner before it fires init"

    def conduct() -> None:
        try:
            conductor.conduct()
        except Exception as error:
            # Whatever it is, Locust must end, and not as if the load had been carried out.
            logger.error("the load was not carried out: %s: %s", type(error).__name__, error, exc_info=True)
            environment.process_exit_code = NOT_CARRIED_OUT
        runner.quit()

    def on_quitting(**_: object) -> None:
        # SIGTERM and SIGINT come here too, before Locust stops its users.
        conductor.stop()
        if not conductor.finished.wait(conductor.stop_deadline_s + 1.0):
            logger.error("the load did not end within %.1f s of its stop", conductor.stop_deadline_s + 1.0)
            environment.process_exit_code = NOT_CARRIED_OUT
        write_statistics(environment, output)

    def on_user_error(user_instance: object, exception: Exception, **_: object) -> None:
        logger.error("%s ended: %r", type(user_instance).__name__, exception)
        environment.process_exit_code = NOT_CARRIED_OUT

    environment.events.quitting.add_listener(on_quitting)  # type: ignore[no-untyped-call]
    environment.events.user_error.add_listener(on_user_error)  # type: ignore[no-untyped-call]
    gevent.spawn(conduct)


def write_statistics(environment: Environment, output: Path) -> None:
    """Locust's own CSV, once, at the end: its writer behind `--csv` leaves out what came in the last second of a run."""
    statistics = StatsCSV(environment, PERCENTILES_TO_REPORT)
    tables = {"stats": statistics.requests_csv, "failures": statistics.failures_csv, "exceptions": statistics.exceptions_csv}
    for name, write_table in tables.items():
        with (output / f"locust_{name}.csv").open("w", newline="", encoding="utf-8") as file:
            write_table(csv.writer(file))
