"""The order in which a load balancer's address, frontend and report come and go, over a HAProxy in memory."""

import asyncio
import json
from pathlib import Path

import pytest
from test_lb_cluster import node
from test_lb_load_balancers import ADDRESS, HTTP, balanced
from test_lb_settings import SETTINGS

from lbagent.addresses import AddressError
from lbagent.api import ApiError
from lbagent.fake_runtime import FakeHaproxy, FakeServer
from lbagent.load_balancers import CLEANUP_FINALIZER, EXTERNAL_IP, RELEASED, SERVED_IP
from lbagent.process import ConfigRefusedError, HaproxyError
from lbagent.provisioner import Provisioner
from lbagent.reconciler import Reconciler
from lbagent.render import Paths
from lbagent.replacement import Replacement
from lbagent.settings import decode_settings
from testbed_init.events import RecordedEvents

TOLD = {EXTERNAL_IP: ADDRESS, SERVED_IP: ADDRESS}
OTHER = "198.18.0.129"


class Process:
    """HAProxy's process: writes down its configuration as the real one does."""

    def __init__(self, config: Path, acts: list[str]) -> None:
        self.pid: int | None = None
        self.refused = ""
        """What no configuration may have in it."""
        self.fails = False
        """A successor does not start; its configuration is on disk all the same."""
        self._config = config
        self._acts = acts

    async def start(self, config: str) -> str:
        if said := self.check(config):
            raise ConfigRefusedError(said)
        if self.fails:
            self._config.write_text(config)
            raise HaproxyError("no answer")
        names = [line.split()[1] for line in config.splitlines() if line.startswith("frontend")]
        self._acts.append("start " + " ".join(names))
        self._config.write_text(config)
        self.pid = (self.pid or 100) + 1
        return "2.6.12"

    def check(self, config: str) -> str:
        return f"refuses {self.refused}" if self.refused and self.refused in config else ""


class Link:
    """Addresses in memory."""

    def __init__(self, acts: list[str]) -> None:
        self.addresses: set = set()
        self.fails = False
        self._acts = acts

    async def add(self, wanted) -> None:
        if self.fails:
            raise AddressError("no")
        self._acts.extend(f"add {address}" for address in sorted(set(wanted) - self.addresses))
        self.addresses |= set(wanted)

    async def keep_only(self, wanted) -> None:
        self._acts.extend(f"delete {address}" for address in sorted(self.addresses - set(wanted)))
        self.addresses &= set(wanted)


class Api:
    """Patches in memory."""

    def __init__(self, acts: list[str]) -> None:
        self.fails = False
        self._acts = acts

    async def patch(self, path, body) -> None:
        if self.fails:
            raise ApiError("away")
        name, annotations = path.rpartition("/")[2], body["metadata"]["annotations"]
        self._acts.append(f"release {name}" if RELEASED in annotations else f"tell {name} {annotations[SERVED_IP]}")

    async def create(self, path, body) -> None:
        assert path == "/api/v1/namespaces/default/events"
        self._acts.append(f"event {body['involvedObject']['name']} {body['reason']}: {body['message'].rpartition(': ')[2]}")


class Bench:
    """A provisioner and everything that it acts on; `acts` is what it did since it was last asked."""

    def __init__(self, directory: Path, **settings) -> None:
        self.acts: list[str] = []
        self.paths = Paths.under(directory)
        self.runtime = FakeHaproxy(backends=("nodeport", "default:web:80"))
        self.process = Process(self.paths.config, self.acts)
        self.link, self.api, self.events = Link(self.acts), Api(self.acts), RecordedEvents()
        self._settings = decode_settings(json.dumps({"container": "loadbalancer", "settings": SETTINGS | settings}))
        self.take_over()

    def take_over(self) -> None:
        """A new agent."""
        self.reconciler = Reconciler(backends=self._settings.backends(), runtime=self.runtime, events=self.events)
        replacement = Replacement(
            settings=self._settings,
            paths=self.paths,
            haproxy=self.process,
            runtime=self.runtime,
            reconciler=self.reconciler,
            events=self.events,
        )
        self.provisioner = Provisioner(
            settings=self._settings,
            paths=self.paths,
            replacement=replacement,
            reconciler=self.reconciler,
            addresses=self.link,
        )

    async def provision(self, *services: dict) -> list[str]:
        self.reconciler.on_services(services)
        self.provisioner.on_services(self.reconciler.services or {})
        return await self.again()

    async def again(self) -> list[str]:
        self.acts.clear()
        await self.provisioner.provision(self.api)
        return list(self.acts)

    async def pass_checks(self, *keys: str) -> None:
        """Servers come as the cluster has them; those named pass their checks, or all of them."""
        while not await self.reconciler.reconcile():
            pass
        for key, server in self.runtime.servers.items():
            server.up = not keys or key in keys


@pytest.fixture
async def bench(tmp_path):
    bench = Bench(tmp_path)
    await bench.provisioner.start()
    bench.reconciler.on_nodes([node()])
    return bench


async def test_address_comes_before_the_frontend_and_is_told_when_a_server_is_up(bench):
    assert await bench.provision(balanced()) == [f"add {ADDRESS}", "start nodeport default:web:80"]
    assert [name for name, _ in bench.events.seen] == ["haproxy-started", "haproxy-reloaded"]
    await bench.pass_checks("nodeport/node-1")
    assert await bench.again() == [], "no server of its own is up"
    await bench.pass_checks()
    assert await bench.again() == [f"tell web {ADDRESS}"]


async def test_further_address_of_the_plan_comes_and_goes_with_the_service(tmp_path):
    named = {"service": "default/web", "port": "http", "mode": "loadbalancer"}
    first, second = {**named, "name": "slow"}, {**named, "name": "fast", "address": "198.18.0.192"}
    bench = Bench(tmp_path, frontends=[first, second])
    bench.runtime.backends = ("slow", "fast")
    await bench.provisioner.start()
    bench.reconciler.on_nodes([node()])
    assert await bench.provision(balanced()) == [f"add {ADDRESS}", "add 198.18.0.192", "start slow fast"]
    await bench.pass_checks("slow/node-1")
    assert await bench.again() == [], "told when there is a way through each of them"
    await bench.pass_checks()
    assert await bench.again() == [f"tell web {ADDRESS}"]
    assert await bench.provision() == ["start ", f"delete {ADDRESS}", "delete 198.18.0.192"]


async def test_service_of_several_ports_is_told_when_each_has_a_server_that_is_up(bench):
    bench.runtime.backends += ("default:web:81",)
    await bench.provision(balanced(ports=(HTTP, {**HTTP, "name": "more", "port": 81, "nodePort": 32214})))
    await bench.pass_checks("default:web:80/node-1")
    assert await bench.again() == []
    await bench.pass_checks()
    assert await bench.again() == [f"tell web {ADDRESS}"]


@pytest.mark.parametrize("change", [{"admin": 8}, {"admin": 1}, {"weight": 0}], ids=["drained", "maintenance", "not enabled yet"])
async def test_server_that_gets_no_connections_makes_no_path(bench, change):
    await bench.provision(balanced())
    await bench.pass_checks()
    for name, value in change.items():
        setattr(bench.runtime.servers["default:web:80/node-1"], name, value)
    assert await bench.again() == []


async def test_path_that_begins_to_work_later_is_told_without_any_change_of_the_cluster(bench):
    running = asyncio.create_task(bench.provisioner.run(bench.api))
    try:
        bench.reconciler.on_services([balanced()])
        bench.provisioner.on_services(bench.reconciler.services)
        async with asyncio.timeout(5):
            while "start nodeport default:web:80" not in bench.acts:
                await asyncio.sleep(0)
            await bench.pass_checks()
            while f"tell web {ADDRESS}" not in bench.acts:
                await asyncio.sleep(0.01)
    finally:
        running.cancel()


async def test_address_that_was_told_stays_when_its_servers_go_down(bench):
    assert await bench.provision(balanced(annotations=TOLD)) == [f"add {ADDRESS}", "start nodeport default:web:80"]
    await bench.pass_checks("none")
    assert await bench.again() == []


async def test_what_is_served_and_told_needs_nothing_more(bench):
    await bench.provision(balanced())
    assert await bench.provision(balanced(annotations=TOLD)) == []
    moved = balanced(annotations=TOLD, ports=({**HTTP, "nodePort": 30001},))
    bench.reconciler.on_nodes([node(), node("node-2", "10.100.0.3")])
    assert await bench.provision(moved) == [], "nodes and node ports change at run time, without a reload"


async def test_service_that_goes_is_cut_and_leaves_neither_frontend_nor_address(bench):
    await bench.provision(balanced(annotations=TOLD))
    bench.runtime.servers["default:web:80/node-1"] = FakeServer(address="10.100.0.2", port=32213, weight=1, connections=2)
    assert await bench.provision() == ["start nodeport", f"delete {ADDRESS}"]
    assert bench.runtime.closed == ["default:web:80"]
    assert bench.runtime.servers["default:web:80/node-1"].connections == 0


def leaving(**changes) -> dict:
    """A Service that holds an address, and is to go."""
    item = balanced(annotations=TOLD, **changes)
    item["metadata"]["finalizers"] = [CLEANUP_FINALIZER]
    return item


@pytest.mark.parametrize("how", [{"deleting": True}, {"type": "NodePort"}], ids=["deleted", "of another type"])
async def test_service_is_let_go_of_when_neither_frontend_nor_address_is_left(bench, how):
    staying = leaving()
    await bench.provision(staying)
    assert await bench.provision(staying) == []
    assert await bench.provision(leaving(**how)) == ["start nodeport", f"delete {ADDRESS}", "release web"]
    released = leaving(**how)
    released["metadata"]["annotations"] = {**TOLD, RELEASED: "true"}
    assert await bench.provision(released) == [], "it is said once"


async def test_service_is_not_let_go_of_while_haproxy_cannot_be_replaced(bench):
    await bench.provision(leaving())
    bench.process.fails = True
    with pytest.raises(HaproxyError):
        await bench.provision(leaving(deleting=True))
    assert bench.acts == []
    bench.process.fails = False
    assert await bench.again() == ["start nodeport", f"delete {ADDRESS}", "release web"]


async def test_release_that_the_api_did_not_take_is_said_again(bench):
    await bench.provision(leaving())
    bench.api.fails = True
    with pytest.raises(ApiError):
        await bench.provision(leaving(deleting=True))
    bench.api.fails = False
    assert await bench.again() == ["release web"]


async def test_service_that_is_deleted_while_haproxy_is_replaced_for_it_is_let_go_of_in_the_next_round(bench):
    start = bench.process.start

    async def overtaken(config: str) -> str:
        bench.reconciler.on_services([leaving(deleting=True)])
        bench.provisioner.on_services(bench.reconciler.services or {})
        return await start(config)

    bench.process.start = overtaken
    assert await bench.provision(leaving()) == [f"add {ADDRESS}", "start nodeport default:web:80"]
    bench.process.start = start
    assert await bench.again() == ["start nodeport", f"delete {ADDRESS}", "release web"]


async def test_service_that_was_deleted_while_there_was_no_agent_is_let_go_of_by_the_next(bench):
    await bench.provision(leaving())
    bench.take_over()
    bench.reconciler.on_nodes([node()])
    assert await bench.provision(leaving(deleting=True)) == ["start nodeport", f"delete {ADDRESS}", "release web"]


async def test_dead_haproxy_keeps_no_service_from_going(bench):
    await bench.provision(leaving())
    bench.process.pid = None
    assert await bench.provision(leaving(deleting=True)) == [f"delete {ADDRESS}", "release web"]
    bench.provisioner.ask_reload()
    assert await bench.provision() == ["start nodeport"]


async def test_successor_starts_with_the_servers_that_are_up_and_no_others(bench):
    await bench.provision(balanced())
    assert bench.paths.config.read_text().count("    server ") == 0, "a new backend's servers wait for their first check"
    for name, is_up in (("node-1", True), ("node-2", False)):
        server = FakeServer(address="10.100.0.2", port=32213, weight=1, admin=0, up=is_up)
        bench.runtime.servers[f"default:web:80/{name}"] = server
    bench.reconciler.on_nodes([node(), node("node-2", "10.100.0.3")])
    bench.provisioner.ask_reload()
    await bench.again()
    lines = [line.split()[1] for line in bench.paths.config.read_text().splitlines() if line.startswith("    server ")]
    assert lines == ["node-1"]


async def test_changed_source_ranges_are_a_reload(bench):
    await bench.provision(balanced(annotations=TOLD))
    changed = balanced(annotations=TOLD, loadBalancerSourceRanges=["198.18.0.0/25"])
    assert await bench.provision(changed) == ["start nodeport default:web:80"]
    assert "tcp-request connection reject unless { src 198.18.0.0/25 }" in bench.paths.config.read_text()


async def test_agent_that_takes_over_keeps_what_its_predecessor_serves(bench):
    await bench.provision(balanced(annotations=TOLD))
    bench.take_over()
    assert await bench.again() == [], "before the services are known, nothing is taken away"
    assert await bench.provision(balanced(annotations=TOLD)) == []
    assert [backend.name for backend in bench.reconciler.backends] == ["nodeport", "default:web:80"]


async def test_dead_haproxy_is_not_started_by_a_service_and_serves_it_when_asked(bench):
    bench.process.pid = None
    assert await bench.provision(balanced()) == []
    bench.provisioner.ask_reload()
    assert await bench.again() == [f"add {ADDRESS}", "start nodeport default:web:80"]


@pytest.mark.parametrize(("part", "error"), [("link", AddressError), ("api", ApiError)])
async def test_what_failed_is_taken_up_again(bench, part, error):
    bench.runtime.servers["default:web:80/node-1"] = FakeServer(address="10.100.0.2", port=32213, weight=1, admin=0, up=True)
    getattr(bench, part).fails = True
    with pytest.raises(error):
        await bench.provision(balanced())
    getattr(bench, part).fails = False
    assert (await bench.again())[-1] == f"tell web {ADDRESS}"


async def test_refused_configuration_is_not_told_as_served(bench):
    bench.process.refused = "global"
    with pytest.raises(ConfigRefusedError):
        await bench.provision(
            balanced("other", annotations={EXTERNAL_IP: OTHER}), balanced(loadBalancerSourceRanges=["10.0.0.0/8"])
        )
    assert bench.acts == [f"add {ADDRESS}", f"add {OTHER}"], "none is refused for anything of its own"


async def test_service_that_haproxy_refuses_is_told_so_and_keeps_no_other_from_being_served(bench):
    bench.process.refused = "10.9.0.0/16"
    bad = balanced(annotations=TOLD, loadBalancerSourceRanges=["10.9.0.0/16"])
    other = balanced("other", annotations={EXTERNAL_IP: OTHER, SERVED_IP: OTHER})
    assert await bench.provision(bad, other) == [f"add {ADDRESS}", f"add {OTHER}"]
    assert await bench.again() == [
        "start nodeport default:other:80",
        f"delete {ADDRESS}",
        "tell web None",
        "event web SyncLoadBalancerFailed: refuses 10.9.0.0/16",
    ]
    untold = balanced(loadBalancerSourceRanges=["10.9.0.0/16"])
    assert await bench.provision(untold, other) == [], "it is told once, and not tried again"
    changed = balanced(loadBalancerSourceRanges=["10.8.0.0/16"])
    assert await bench.provision(changed, other) == [f"add {ADDRESS}", "start nodeport default:other:80 default:web:80"]
