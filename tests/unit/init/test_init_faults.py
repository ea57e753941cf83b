"""What each fault asks of the kernel, and what it leaves behind: nothing."""

import re

import pytest

from testbed_init.arming import FaultState
from testbed_init.faults import FAULTS, FaultError
from testbed_init.ground import OPEN_RATE, Ground, lay_ground
from testbed_init.packet_filter import Rule
from tests.unit.init.test_init_arming import AT_NS, PARAMETERS, SECOND_NS, Bench

FRAMES = "netdev testbed_faults"
GATED = re.compile(r"[io]ifgroup & (0x[0-9a-f]+) == ")


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    for ground in Ground:
        lay_ground(ground, bench.kernel)
    bench.add_pod("10.0.1.3", pid=30)
    bench.add_pod("10.0.1.2", pid=20)
    return bench


def state(bench: Bench) -> tuple[object, ...]:
    """Everything that a fault could leave behind."""
    kernel = bench.kernel
    tables = {table: {chain: list(rules) for chain, rules in chains.items()} for table, chains in kernel.tables.items()}
    processes = sorted(kernel.processes.values())
    return (
        tables,
        dict(kernel.buckets),
        list(kernel.iptables),
        dict(kernel.bound),
        set(kernel.held),
        processes,
        dict(kernel.interfaces),
        kernel.groups(kernel.outward),
    )


def matching(bench: Bench) -> dict[str, dict[str, list[str]]]:
    """The rules that any packet of the uplink could match: those of a fault that has not struck ask for a bit that is not set."""
    group = bench.kernel.groups(("eth0",))["eth0"]

    def can_match(rule: str) -> bool:
        gate = GATED.match(rule)
        return gate is None or bool(int(gate[1], 16) & group)

    return {
        table: {chain: list(filter(can_match, rules)) for chain, rules in chains.items()}
        for table, chains in bench.kernel.tables.items()
    }


@pytest.mark.parametrize("end", ["heal", "expiry"])
@pytest.mark.parametrize("name", sorted(set(FAULTS) - {"power-off", "pod-kill"}))
def test_every_fault_changes_nothing_before_its_instant_and_leaves_nothing_after_its_end(bench, name, end):
    before, passed = state(bench), matching(bench)
    bench.arm(name, **PARAMETERS.get(name, {}))
    bench.advance_to(AT_NS - 1)
    assert matching(bench) == passed
    assert state(bench)[1:] == before[1:]
    bench.advance_to(AT_NS)
    assert bench.state() is FaultState.EFFECTIVE, bench.events.seen
    if end == "heal":
        bench.armoury.heal("step-1")
    else:
        bench.advance_to(AT_NS + 60 * SECOND_NS)
    assert state(bench) == before


@pytest.mark.parametrize(
    ("name", "parameters", "chain", "rules"),
    [
        (
            "partition",
            {"neighbours": ["10.100.0.3"], "direction": "in"},
            "in",
            ['iifgroup & 0x1 == 0x1 ether saddr 02:42:0a:64:00:03 counter packets 0 bytes 0 drop comment "fault-1"'],
        ),
        (
            "partition",
            {"addresses": ["198.18.0.3", "198.18.0.2"]},
            "out",
            [
                'oifgroup & 0x1 == 0x1 ip daddr 198.18.0.3 counter packets 0 bytes 0 drop comment "fault-1"',
                'oifgroup & 0x1 == 0x1 ip daddr 198.18.0.2 counter packets 0 bytes 0 drop comment "fault-1"',
            ],
        ),
        (
            "loss",
            {"ratio": 0.1, "direction": "out"},
            "out",
            [
                'oifgroup & 0x1 == 0x1 counter packets 0 bytes 0 continue comment "fault-1"',
                'oifgroup & 0x1 == 0x1 numgen random mod 1000000 >= 900000 counter packets 0 bytes 0 drop comment "fault-1"',
            ],
        ),
        (
            "loss",
            {"ratio": 1},
            "in",
            [
                'iifgroup & 0x1 == 0x1 counter packets 0 bytes 0 continue comment "fault-1"',
                'iifgroup & 0x1 == 0x1 counter packets 0 bytes 0 drop comment "fault-1"',
            ],
        ),
    ],
)
def test_a_fault_of_the_packet_filter_is_these_rules(bench, name, parameters, chain, rules):
    bench.arm(name, **parameters)
    bench.advance_to(AT_NS)
    assert bench.kernel.tables[FRAMES][chain] == rules


def test_faults_of_frames_at_once_have_a_switch_each_and_the_first_that_ends_leaves_the_other(bench):
    bench.arm("loss", ratio=0.1, direction="out")
    bench.kernel.filter.lay("other", (Rule(chain="out", match="ip daddr 192.0.2.1"),))
    bench.kernel.filter.switch_on("other")
    bench.advance_to(AT_NS)
    assert bench.kernel.groups(["eth0"]) == {"eth0": 0b11}
    bench.armoury.heal("step-1")
    assert bench.kernel.groups(["eth0"]) == {"eth0": 0b01}
    (left,) = bench.kernel.tables[FRAMES]["out"]
    assert left.startswith("oifgroup & 0x1 == 0x1 ip daddr 192.0.2.1 counter")
    bench.kernel.filter.lay("third", (Rule(chain="out", match=""),))
    assert bench.kernel.filter.switches["third"].bit == 0b10


def test_more_faults_of_frames_than_a_group_has_bits_are_refused(bench):
    for number in range(31):
        bench.kernel.filter.lay(f"owner-{number}", (Rule(chain="in", match=""),))
    with pytest.raises(OSError, match="there are 31 faults of the uplinks' frames at once already"):
        bench.kernel.filter.lay("one-more", (Rule(chain="in", match=""),))


def test_one_way_faults_leave_the_other_way_alone(bench):
    bench.arm("loss", ratio=0.1, direction="out")
    bench.advance_to(AT_NS)
    assert bench.kernel.tables[FRAMES]["in"] == []


def test_a_partition_from_a_neighbour_that_is_not_there_fails_before_its_instant(bench):
    bench.arm("partition", neighbours=["10.100.0.9"])
    bench.advance_to(AT_NS)
    assert bench.state() is FaultState.FAILED
    assert bench.events.named("fault-failed")[0]["evidence"] == "prepare: partition: no neighbour answers at 10.100.0.9"


def test_rules_that_somebody_else_removed_are_no_evidence(bench):
    bench.kernel.filter.put("a", (Rule(chain="in", match="ip saddr 192.0.2.1"),), bench.kernel.filter.stage())
    bench.kernel.tables[FRAMES]["in"].clear()
    with pytest.raises(OSError, match="the kernel has 0 of the 1 rules of a"):
        bench.kernel.filter.packets("a")


def test_a_rate_changes_the_bucket_that_is_there_and_changes_it_back(bench):
    bench.arm("rate", mbit_per_s=10)
    bench.advance_to(AT_NS)
    assert bench.kernel.buckets == {"eth0": "rate 10000000bit burst 5000b latency 50ms"}
    assert bench.events.named("fault-effective")[0]["evidence"] == "token buckets: eth0 10 Mbit/s"
    bench.armoury.heal("step-1")
    assert bench.kernel.buckets == {"eth0": OPEN_RATE}


def test_a_delay_binds_the_queue_of_each_direction(bench):
    bench.arm("delay", delay_s=0.05, direction="in")
    bench.advance_to(AT_NS)
    assert bench.kernel.bound == {"61000": 50_000_000}


def test_a_killed_process_is_held_dead_until_it_is_healed(bench):
    bench.arm("process-kill", process="agent")
    bench.advance_to(AT_NS)
    assert bench.kernel.process_pid("agent") is None
    assert bench.kernel.held == {"agent"}
    bench.armoury.heal("step-1")
    assert bench.kernel.process_pid("agent") is not None


def test_a_frozen_process_is_proven_by_its_state(bench):
    bench.arm("process-pause", process="haproxy")
    bench.advance_to(AT_NS)
    assert bench.kernel.processes[8] == "T"
    assert bench.events.named("fault-effective")[0]["evidence"] == "haproxy (pid 8) is stopped"


@pytest.mark.parametrize("state", ["paused", "ended"])
def test_a_rule_writer_is_struck_inside_its_agent_by_the_agent_s_own_word(bench, state):
    bench.arm("rule-writer", state=state)
    bench.advance_to(AT_NS)
    assert bench.events.named("fault-effective")[0]["evidence"] == f"rule writer of agent (pid 7) is {state}"
    assert bench.kernel.processes[7] == "S"
    bench.armoury.heal("step-1")
    assert bench.kernel.read("/run/testbed/rule-writer").split()[:2] == ["7", "running"]


def test_an_agent_that_does_not_listen_yet_gets_no_signal_that_would_end_it(bench):
    bench.kernel.files["/run/testbed/rule-writer"] = "6 running 0\n"
    bench.arm("rule-writer", state="paused")
    bench.advance_to(AT_NS)
    assert bench.events.named("fault-failed")[0]["evidence"] == (
        "prepare: rule-writer: agent (pid 7) has no rule writer that runs"
    )
    bench.armoury.heal("step-1")
    assert bench.kernel.files["/run/testbed/rule-writer"] == "6 running 0\n"


def test_a_drained_node_is_admitted_again_when_its_drain_expires_as_soon_as_the_api_answers(bench):
    bench.kernel.cordoned.add("node-1")
    bench.arm("readmission", node="node-1")
    bench.advance_to(AT_NS)
    assert bench.kernel.cordoned == {"node-1"}
    bench.kernel.api_answers = False
    bench.advance_to(AT_NS + 61 * SECOND_NS)
    assert bench.kernel.cordoned == {"node-1"}
    bench.kernel.api_answers = True
    bench.advance_to(AT_NS + 63 * SECOND_NS)
    assert (bench.kernel.cordoned, bench.state()) == (set(), FaultState.EXPIRED)
    assert bench.events.named("fault-expired")[0]["evidence"] == "node-1 is schedulable"


def test_a_drain_that_never_began_admits_nobody(bench):
    bench.kernel.cordoned.add("node-1")
    bench.arm("readmission", node="node-1")
    bench.armoury.heal("step-1")
    assert bench.kernel.cordoned == {"node-1"}


def test_an_agent_that_was_started_since_is_not_asked_to_undo_anything(bench):
    bench.arm("rule-writer", state="ended")
    bench.advance_to(AT_NS)
    bench.kernel.named["agent"] = 9
    bench.kernel.processes[9] = "S"
    bench.armoury.heal("step-1")
    assert bench.state() is FaultState.HEALED
    assert bench.kernel.files["/run/testbed/rule-writer"] == f"7 ended {AT_NS}\n"


def test_a_killed_pod_loses_master_and_workers_and_the_others_nothing(bench):
    bench.arm("pod-kill")
    bench.advance_to(AT_NS)
    assert bench.events.named("fault-effective")[0]["evidence"] == "nginx is gone: 10.0.1.2 (2 processes)"
    assert sorted(bench.kernel.processes) == [7, 8, 30, 31]


def test_all_pods_of_a_node_can_be_killed_at_once(bench):
    bench.arm("pod-kill", count=None)
    bench.advance_to(AT_NS)
    assert sorted(bench.kernel.processes) == [7, 8]


def test_more_pods_than_there_are_cannot_be_killed(bench):
    bench.arm("pod-kill", count=3)
    bench.advance_to(AT_NS)
    assert bench.events.named("fault-failed")[0]["evidence"] == "prepare: pod-kill: 3 pods asked for, 2 run on this node"


def test_a_pod_is_not_ready_because_its_node_s_probes_are_refused(bench):
    bench.arm("pod-not-ready", count=2)
    bench.advance_to(AT_NS)
    refused = 'tcp flags & (fin | syn | rst | ack) == syn counter packets 0 bytes 0 reject with tcp reset comment "fault-1"'
    assert bench.kernel.tables["inet testbed_faults"]["output"] == [
        f"ip daddr 10.0.1.2 {refused}",
        f"ip daddr 10.0.1.3 {refused}",
    ]


def test_a_full_table_is_proven_by_count_and_limit(bench):
    bench.arm("conntrack-full")
    bench.advance_to(AT_NS)
    assert bench.events.named("fault-effective")[0]["evidence"] == "262144 entries of 262144; the kernel refuses the next"


def test_the_heal_of_a_killed_process_names_the_pid_of_its_new_life(bench):
    bench.arm("process-kill", process="agent")
    bench.advance_to(AT_NS)
    bench.armoury.heal("step-1")
    evidence = bench.events.named("fault-healed")[0]["evidence"]
    assert evidence == f"agent (pid {bench.kernel.process_pid('agent')}) is started"
    assert bench.kernel.process_pid("agent") != 7


def test_a_process_that_does_not_run_cannot_be_killed(bench):
    bench.kernel.named["agent"] = None
    bench.arm("process-kill", process="agent")
    bench.advance_to(AT_NS)
    assert "agent does not run" in bench.events.named("fault-failed")[0]["evidence"]


def test_laying_ground_twice_lays_it_once(bench):
    rules = list(bench.kernel.iptables)
    for ground in Ground:
        lay_ground(ground, bench.kernel)
    assert bench.kernel.iptables == rules
    assert sorted(bench.kernel.tables) == ["inet testbed_faults", FRAMES]


@pytest.mark.parametrize(
    ("fault", "parameters", "message"),
    [
        ("partition", {}, "partition: cuts nothing off; allowed: neighbours, addresses, or both"),
        ("partition", {"neighbours": ["node-2"]}, "partition: neighbours must be a list of IPv4 addresses, got ['node-2']"),
        ("loss", {}, "loss: ratio must be a number, got None"),
        ("loss", {"ratio": 1.1}, "loss: ratio must be from 1e-06 to 1, got 1.1"),
        ("loss", {"ratio": 0.1, "direction": "up"}, "loss: direction must be both, in or out, got 'up'"),
        ("rate", {"mbit_per_s": 0}, "rate: mbit_per_s must be from 0.01 to 10000, got 0.0"),
        ("delay", {"delay_s": 11}, "delay: delay_s must be above 0 and at most 10, got 11.0"),
        ("cpu-squeeze", {"share_ratio": 1}, "cpu-squeeze: share_ratio must be from 0.01 to 0.99, got 1.0"),
        ("pod-kill", {"count": 0}, "pod-kill: count must be at least 1, or null, got 0"),
        ("rule-writer", {"state": "slow"}, "rule-writer: state must be one of ['ended', 'paused'], got 'slow'"),
        ("process-kill", {}, "process-kill: process must be a non-empty string, got None"),
        ("process-pause", {"process": "x"}, "process-pause: no process 'x'; this container has ['agent', 'haproxy']"),
    ],
)
def test_bad_parameters_are_refused_when_armed(bench, fault, parameters, message):
    with pytest.raises(FaultError) as caught:
        bench.arm(fault, **parameters)
    assert str(caught.value) == message


@pytest.mark.parametrize("fault", ["partition", "loss", "rate", "delay", "conntrack-full", "pod-not-ready"])
def test_a_container_without_net_admin_refuses_faults_of_its_links(bench, fault):
    bench.kernel.net_admin = False
    with pytest.raises(OSError, match="lacks CAP_NET_ADMIN"):
        bench.arm(fault, **PARAMETERS.get(fault, {}))


def test_a_table_too_large_to_fill_is_refused_when_armed(bench):
    bench.kernel.connection_limit = 2_000_000
    with pytest.raises(FaultError, match="the table's limit is 2000000; allowed: up to 1048576"):
        bench.arm("conntrack-full")
