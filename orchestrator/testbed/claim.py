"""Claims an address slot: the engine itself arbitrates, because a slot is taken by creating its networks."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network

from orchestrator.addresses import MGMT_POOL, slot_addresses, slots_in
from orchestrator.contracts import Stop
from orchestrator.errors import EnvironmentUnmetError, InterruptedRunError
from orchestrator.model.history import Event
from orchestrator.model.plan import NetworkName, NetworkPlan
from orchestrator.planner.roles import plan_networks
from orchestrator.testbed.clock import EngineClock
from orchestrator.testbed.collector import HistoryCollector
from orchestrator.testbed.compose import ComposeFile
from orchestrator.testbed.engine import Engine, PoolOverlapError
from orchestrator.testbed.output import LogBook
from orchestrator.testbed.realise import network_spec
from orchestrator.testbed.run import Run
from orchestrator.testbed.warden import Warden, measure_clock_offset, overlaps_host, read_boot_id, warden_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An address slot with its networks, guarded, and what every later part of the run shares."""

    slot: int
    networks: tuple[NetworkPlan, ...]
    run: Run
    engine: Engine
    compose: ComposeFile
    collector: HistoryCollector
    clock: EngineClock
    log: LogBook
    warden: Warden
    stop: Stop


@contextmanager
def claim_slot(
    engine: Engine,
    compose: ComposeFile,
    run: Run,
    *,
    client_pool: IPv4Network,
    node_pool: IPv4Network,
    stop: Stop,
    observer: Callable[[Event], None] | None = None,
) -> Iterator[Claim]:
    """The first free slot of the pools. Leaving gives it back: networks, guard rules and warden are gone then.

    Raises:
        EnvironmentUnmetError: every slot overlaps a network of the engine or a route of its host.
        EngineError, InterruptedRunError.
    """
    collector, log = HistoryCollector(observer=observer), LogBook(run.directory / "logs")
    with warden_for(engine, compose, run, collector=collector, log=log, stop=stop) as warden:
        slot, networks = _take_slot(engine, compose, run, warden, client_pool=client_pool, node_pool=node_pool, stop=stop)
        offset_ns = measure_clock_offset(warden, collector, stop, own_boot_id=read_boot_id())
        yield Claim(
            slot=slot,
            networks=networks,
            run=run,
            engine=engine,
            compose=compose,
            collector=collector,
            clock=EngineClock(offset_ns=offset_ns, stop=stop),
            log=log,
            warden=warden,
            stop=stop,
        )


def _take_slot(
    engine: Engine,
    compose: ComposeFile,
    run: Run,
    warden: Warden,
    *,
    client_pool: IPv4Network,
    node_pool: IPv4Network,
    stop: Stop,
) -> tuple[int, tuple[NetworkPlan, ...]]:
    count = min(slots_in(client_pool), slots_in(node_pool), slots_in(MGMT_POOL))
    refusal = "the pools hold no slot"
    for slot in range(count):
        networks = plan_networks(slot_addresses(slot, client_pool=client_pool, node_pool=node_pool))
        shadowed = overlaps_host({item.subnet: item.name is NetworkName.MGMT for item in networks}, warden.routes)
        if shadowed is not None:
            refusal = f"the engine's host has a route to {shadowed}"
            continue
        if stop.is_set():
            raise InterruptedRunError("interrupted before an address slot was claimed")
        with ExitStack() as attempt:
            try:
                for plan in networks:
                    network = engine.create_network(network_spec(plan, compose, run))
                    attempt.callback(engine.remove_network, network)
            except PoolOverlapError as error:
                refusal = str(error)
                continue
            attempt.pop_all()  # from here on they end with the run, by its label
            return slot, networks
    raise EnvironmentUnmetError(
        f"no free address slot among {count}; the last refusal: {refusal}",
        hint="`testbed clean` removes expired runs; `cluster.client_pool` and `cluster.node_pool` choose other networks",
    )
