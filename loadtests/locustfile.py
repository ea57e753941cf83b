"""The locustfile of the open model: one Locust user for each path and connection class of load.json.

Run by `python3 -m loadtests.run`; must be loaded by Locust only, which takes every user class that it finds in this module.
"""

from collections.abc import Callable
from typing import ClassVar

from locust import User, events, task  # noqa: TID251 - loadtests/ is Locust's home
from locust.env import Environment  # noqa: TID251
from locust.exception import StopUser  # noqa: TID251

from loadtests.conductor import Conductor, Files
from loadtests.events import EventWriter, read_source
from loadtests.load_file import LoadClass, read_load_file
from loadtests.locust_process import attach, clock, logger
from loadtests.open_load import plan_open_load
from loadtests.open_model import OpenArrivals, Recorder
from loadtests.outcomes import RequestFailedError
from loadtests.responder import PodBodies
from loadtests.sample_log import SampleLog
from loadtests.settings import CONFIG_FILE, read_settings

_fire: Callable[..., None] = events.request.fire


def report_request(load_class: LoadClass, latency_ms: float, length: int, failure: RequestFailedError | None) -> None:
    """Locust's own statistics, CSV and web page live on this event."""
    _fire(
        request_type=load_class.connection_class,
        name=load_class.path,
        response_time=latency_ms,
        response_length=length,
        response=None,
        context={},
        exception=failure,
        url=load_class.url,
    )


settings = read_settings()
load = read_load_file(settings.load_file)
log = SampleLog(settings.output)
recorder = Recorder(log=log, pods=PodBodies(log.intern), on_request=report_request, warn=logger.warning)
workload = plan_open_load(load, recorder, clock)


class ArrivalsUser(User):
    """Runs one class of the load to its end. Exactly one of each: the rate is the schedule's, not the number of users."""

    abstract = True
    fixed_count = 1
    arrivals: ClassVar[OpenArrivals]

    @task
    def run_arrivals(self) -> None:
        workload.run_class(self.arrivals)
        raise StopUser


for number, arrivals in enumerate(workload.classes):
    name = arrivals.load_class.subject
    globals()[f"User{number}"] = type(name, (ArrivalsUser,), {"arrivals": arrivals, "abstract": False, "__module__": __name__})


def on_init(environment: Environment, **_: object) -> None:
    writer = EventWriter(source=read_source(CONFIG_FILE), clock=clock)
    files = Files(start=settings.start_file, output=settings.output)
    attach(environment, Conductor(load, workload, log, files, writer, clock), settings.output)


events.init.add_listener(on_init)  # type: ignore[no-untyped-call]
