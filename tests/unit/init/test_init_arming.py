"""Armed faults on a clock in the test's hand."""

import pytest

from testbed_init.arming import PREPARE_LEAD_NS, Armoury, FaultState
from testbed_init.events import RecordedEvents
from testbed_init.fake_kernel import FakeKernel
from testbed_init.faults import FAULTS, FaultError
from testbed_init.faults.power_off import EXIT_STATUS
from testbed_init.kernel import KernelError

SECOND_NS = 1_000_000_000
AT_NS = 10 * SECOND_NS


class Bench:
    """An armoury over a fake kernel, and a clock that only the test moves."""

    def __init__(self) -> None:
        self.kernel = FakeKernel()
        self.events = RecordedEvents()
        self.armoury = Armoury(kernel=self.kernel, events=self.events)

    def arm(self, fault: str = "link-down", id: str = "step-1", at_mono_ns: int = AT_NS, **parameters: object) -> None:
        self.armoury.arm(id=id, fault=fault, at_mono_ns=at_mono_ns, ttl_s=60.0, parameters=parameters)

    def add_pod(self, address: str, *, pid: int) -> None:
        """A pod with one nginx worker."""
        directory = f"/run/testbed/pods/uid-{pid}"
        self.kernel.files |= {f"{directory}/address": address, f"{directory}/nginx.pid": f"{pid}\n"}
        self.kernel.processes |= {pid: "S", pid + 1: "S"}
        self.kernel.parents[pid + 1] = pid

    def advance_to(self, now_ns: int) -> int | None:
        """Move the clock from deadline to deadline, as the loop does, up to `now_ns`."""
        while (due := self.armoury.next_ns()) is not None and due <= now_ns:
            self.kernel.now_ns = max(self.kernel.now_ns, due)
            if (status := self.armoury.advance(self.kernel.now_ns)) is not None:
                return status
        self.kernel.now_ns = now_ns
        return None

    def state(self, id: str = "step-1") -> FaultState:
        return self.armoury.faults[id].state

    def names(self) -> list[str]:
        return [name for name, _ in self.events.seen]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_fault_changes_nothing_before_its_instant(bench):
    bench.arm()
    bench.advance_to(AT_NS - 1)
    assert bench.kernel.interfaces == {"cbr0": True, "eth0": True}
    assert bench.state() is FaultState.PREPARED


def test_a_fault_fires_at_its_instant_with_evidence(bench):
    bench.arm()
    bench.advance_to(AT_NS)
    assert bench.kernel.interfaces["eth0"] is False
    assert bench.events.named("fault-effective") == [
        {
            "t_mono_ns": AT_NS,
            "fault": "link-down",
            "id": "step-1",
            "at_mono_ns": AT_NS,
            "evidence": "eth0 down",
            "known_within_ms": 0.0,
        }
    ]


def test_the_exact_instant_is_announced_only_once_prepared(bench):
    bench.arm()
    assert bench.armoury.next_instant_ns() is None
    assert bench.armoury.next_ns() == AT_NS - PREPARE_LEAD_NS
    bench.advance_to(AT_NS - PREPARE_LEAD_NS)
    assert bench.armoury.next_instant_ns() == AT_NS


def test_two_faults_of_one_instant_strike_together(bench):
    bench.arm(id="a", fault="pause")
    bench.arm(id="b")
    bench.advance_to(AT_NS)
    assert bench.state("a") is bench.state("b") is FaultState.EFFECTIVE


def test_heal_brings_link_and_routes_back_and_may_be_repeated(bench):
    bench.arm()
    bench.advance_to(AT_NS)
    assert bench.kernel.routes == {}
    assert bench.armoury.heal("step-1") == "healed"
    assert bench.armoury.heal("step-1") == "healed"
    assert bench.kernel.interfaces["eth0"] is True
    assert bench.kernel.routes == {"default": "eth0"}
    assert bench.names() == ["fault-armed", "fault-effective", "fault-healed"]


def test_routes_that_came_between_arming_and_the_instant_come_back_too(bench):
    bench.arm()
    bench.kernel.routes["10.0.4.0/24"] = "eth0"
    bench.advance_to(AT_NS)
    bench.armoury.heal("step-1")
    assert bench.kernel.routes == {"default": "eth0", "10.0.4.0/24": "eth0"}


def test_heal_before_the_instant_disarms(bench):
    bench.arm()
    bench.armoury.heal("step-1")
    bench.advance_to(AT_NS + 100 * SECOND_NS)
    assert bench.kernel.interfaces["eth0"] is True
    assert bench.names() == ["fault-armed", "fault-healed"]


def test_heal_of_an_id_never_armed_is_no_error(bench):
    assert bench.armoury.heal("never") == "unknown"


def test_a_fault_nobody_heals_expires(bench):
    bench.arm()
    bench.advance_to(AT_NS + 60 * SECOND_NS)
    assert bench.state() is FaultState.EXPIRED
    assert bench.kernel.interfaces["eth0"] is True
    assert bench.names() == ["fault-armed", "fault-effective", "fault-expired"]


def test_time_to_live_of_a_late_fault_counts_from_now(bench):
    bench.kernel.now_ns = 20 * SECOND_NS
    bench.arm()
    assert bench.armoury.faults["step-1"].expires_mono_ns == 80 * SECOND_NS


def test_power_off_takes_all_links_down_uplink_first_and_ends_init(bench):
    bench.arm("power-off")
    assert bench.advance_to(AT_NS) == EXIT_STATUS
    assert bench.kernel.interfaces == {"cbr0": False, "eth0": False}
    assert bench.events.named("fault-effective")[0]["evidence"] == "cbr0 down, eth0 down"


def test_pause_stops_everything_and_heal_continues_it(bench):
    bench.arm("pause")
    bench.advance_to(AT_NS)
    assert bench.kernel.processes == {7: "T", 8: "T"}
    bench.armoury.heal("step-1")
    assert bench.kernel.processes == {7: "S", 8: "S"}
    assert [event["evidence"] for event in (*bench.events.named("fault-effective"), *bench.events.named("fault-healed"))] == [
        "process states: 2 T",
        "process states: 2 S",
    ]


def test_nothing_is_restarted_while_paused(bench):
    bench.arm("pause")
    bench.advance_to(AT_NS - 1)
    assert not bench.armoury.holds_restarts()
    bench.advance_to(AT_NS)
    assert bench.armoury.holds_restarts()
    bench.armoury.heal("step-1")
    assert not bench.armoury.holds_restarts()


def test_no_op_changes_nothing(bench):
    before = (dict(bench.kernel.interfaces), dict(bench.kernel.routes), dict(bench.kernel.processes))
    bench.arm("no-op")
    bench.advance_to(AT_NS)
    bench.armoury.heal("step-1")
    assert (bench.kernel.interfaces, bench.kernel.routes, bench.kernel.processes) == before


def test_a_pause_that_does_not_hold_is_reported_as_failed(bench):
    class Deaf(FakeKernel):
        def signal_all(self, number: int) -> None:
            self.now_ns += 1

        def process_states(self) -> dict[int, str]:
            self.now_ns += 10_000_000
            return {7: "R"}

    bench.kernel = bench.armoury.kernel = Deaf()
    bench.arm("pause")
    bench.advance_to(AT_NS)
    assert bench.state() is FaultState.FAILED
    assert "not all processes stopped: process states: 1 R after 2000 ms" in str(bench.events.seen[-1])


def test_a_heal_that_fails_is_an_error_and_is_tried_again_at_expiry(bench):
    class Stuck(FakeKernel):
        stuck = True

        def restore_routes(self, saved: bytes) -> None:
            if self.stuck:
                raise KernelError("`ip route restore` gave 2: Network is down")
            super().restore_routes(saved)

    bench.kernel = bench.armoury.kernel = Stuck()
    bench.arm()
    bench.advance_to(AT_NS)
    with pytest.raises(KernelError):
        bench.armoury.heal("step-1")
    assert bench.state() is FaultState.FAILED
    Stuck.stuck = False
    bench.advance_to(AT_NS + 70 * SECOND_NS)
    assert bench.state() is FaultState.EXPIRED
    assert bench.kernel.routes == {"default": "eth0"}


def test_heal_all_goes_on_after_one_that_fails(bench):
    class Stuck(FakeKernel):
        def restore_routes(self, saved: bytes) -> None:
            raise KernelError("`ip route restore` gave 2: Network is down")

    bench.kernel = bench.armoury.kernel = Stuck()
    bench.arm("pause", id="first")
    bench.arm("link-down", id="second")
    bench.advance_to(AT_NS)
    bench.armoury.heal_all()
    assert bench.state("first") is FaultState.HEALED


@pytest.mark.parametrize(
    ("fault", "parameters", "message"),
    [
        ("meteor", {}, f"unknown fault 'meteor'; this container knows {sorted(FAULTS)}"),
        ("power-off", {"slowly": True}, "power-off: unknown parameters ['slowly']; allowed: none"),
        ("link-down", {"interfaces": ["eth9"]}, "link-down: no interfaces ['eth9']; the container has ['cbr0', 'eth0']"),
        ("link-down", {"interfaces": []}, "link-down: interfaces must be a list of at least one name, got []"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_when_armed(bench, fault, parameters, message):
    with pytest.raises(FaultError) as caught:
        bench.arm(fault, **parameters)
    assert str(caught.value) == message
    assert bench.armoury.faults == {}


@pytest.mark.parametrize("fault", ["power-off", "link-down"])
def test_a_container_without_net_admin_refuses_link_faults(bench, fault):
    bench.kernel.net_admin = False
    with pytest.raises(KernelError, match="lacks CAP_NET_ADMIN"):
        bench.arm(fault)


def test_an_id_is_used_once(bench):
    bench.arm("no-op")
    with pytest.raises(FaultError, match=r"fault id 'step-1' is taken \(no-op, armed\)"):
        bench.arm("no-op")


PARAMETERS = {
    "cpu-squeeze": {"share_ratio": 0.2},
    "delay": {"delay_s": 0.05},
    "loss": {"ratio": 0.1},
    "partition": {"neighbours": ["10.100.0.3"], "addresses": ["198.18.0.3"]},
    "process-kill": {"process": "agent"},
    "process-pause": {"process": "agent"},
    "process-signal": {"process": "agent", "signal": "HUP"},
    "rate": {"mbit_per_s": 10},
    "readmission": {"node": "node-1"},
    "rule-writer": {"state": "paused"},
}
"""Of each fault that has some."""


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_survives_heal_without_ever_firing(bench, name):
    bench.add_pod("10.0.1.2", pid=20)
    fault = FAULTS[name](PARAMETERS.get(name, {}), bench.kernel)
    fault.heal()
    fault.prepare()
    fault.heal()
    fault.heal()
    assert bench.kernel.interfaces == {"cbr0": True, "eth0": True}
    assert bench.kernel.routes == {"default": "eth0"}
