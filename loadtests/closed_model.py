"""Loaded by Locust beside a user's own locustfile (`python3 -m loadtests.run --locustfile FILE`): records what its users do."""

from locust import events  # noqa: TID251 - loadtests/ is Locust's home
from locust.env import Environment  # noqa: TID251
from locust.runners import Runner  # noqa: TID251

from loadtests.closed_load import ClosedLoad
from loadtests.conductor import Conductor, Files
from loadtests.events import EventWriter, read_source
from loadtests.load_file import read_load_file
from loadtests.locust_process import attach, clock
from loadtests.sample_log import SampleLog
from loadtests.settings import CONFIG_FILE, read_settings


def on_init(environment: Environment, runner: Runner, **_: object) -> None:
    settings = read_settings()
    load = read_load_file(settings.load_file)
    log = SampleLog(settings.output)
    workload = ClosedLoad(log, runner, duration_s=load.duration_s, clock=clock)
    environment.events.test_start.add_listener(workload.on_test_start)  # type: ignore[no-untyped-call]
    environment.events.request.add_listener(workload.on_request)  # type: ignore[no-untyped-call]
    writer = EventWriter(source=read_source(CONFIG_FILE), clock=clock)
    files = Files(start=settings.start_file, output=settings.output)
    attach(environment, Conductor(load, workload, log, files, writer, clock), settings.output)


events.init.add_listener(on_init)  # type: ignore[no-untyped-call]
