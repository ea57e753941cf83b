"""What the doctor says about a machine, from facts of machines that the test makes up."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from orchestrator.testbed.kernel_features import FEATURES, Feature
from orchestrator.testbed.prerequisites import (
    CLOCK_SOURCE,
    CONNTRACK_MAX,
    LIMITS,
    Check,
    EngineFacts,
    KernelFacts,
    Limit,
    State,
    TakenSubnet,
    judge_engine,
    judge_kernel,
    judge_steal,
    judge_subnets,
)

ENGINE = EngineFacts(
    version="28.5.1",
    api_version="1.51",
    kernel="6.1.0",
    cgroup_version="2",
    cgroup_driver="systemd",
    cores=8,
    memory_bytes=16 * 2**30,
    rootless=False,
)
KERNEL = KernelFacts(
    refusals={feature.name: None for feature in FEATURES},
    files={CLOCK_SOURCE: "tsc", CONNTRACK_MAX: "262144", **{limit.path: str(limit.enough) for limit in LIMITS}},
    disk_free_bytes=50 * 2**30,
)
CLIENTS, NODES = IPv4Network("198.18.0.0/16"), IPv4Network("10.100.0.0/16")


def by_name(checks: tuple[Check, ...]) -> dict[str, Check]:
    assert len({check.name for check in checks}) == len(checks)
    return {check.name: check for check in checks}


def subnets(*taken: tuple[str, str]) -> Check:
    found = [TakenSubnet(network=IPv4Network(network), owner=owner) for network, owner in taken]
    return judge_subnets(found, client_pool=CLIENTS, node_pool=NODES)


def test_machine_that_has_everything_costs_nothing() -> None:
    checks = (*judge_engine(ENGINE), *judge_kernel(KERNEL), subnets())
    assert {check.state for check in checks} == {State.OK}
    assert {check.cost for check in checks} == {""}


@pytest.mark.parametrize(("api_version", "state"), [("1.40", State.MISSING), ("1.41", State.OK), ("1.100", State.OK)])
def test_engine_api_is_compared_as_numbers(api_version: str, state: State) -> None:
    check = by_name(judge_engine(replace(ENGINE, api_version=api_version)))["engine API"]
    assert (check.state, check.required) == (state, True)


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("CPU cores", replace(ENGINE, cores=1)),
        ("memory", replace(ENGINE, memory_bytes=2**30)),
        ("cgroups", replace(ENGINE, cgroup_driver="none")),
        ("engine's user", replace(ENGINE, rootless=True)),
    ],
)
def test_engine_with_less_is_limited_and_says_what_it_costs(name: str, facts: EngineFacts) -> None:
    for check_name, check in by_name(judge_engine(facts)).items():
        assert check.state == (State.LIMITED if check_name == name else State.OK)
        assert bool(check.cost) == (check_name == name)


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_refused_feature_stops_runs_only_where_every_run_needs_it(feature: Feature) -> None:
    refusals = {**KERNEL.refusals, feature.name: "Operation not supported"}
    check = by_name(judge_kernel(replace(KERNEL, refusals=refusals)))[feature.name]
    assert check.required is feature.required
    assert check.state is (State.MISSING if check.required else State.LIMITED)
    assert check.found == "Operation not supported"
    assert check.cost


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.name)
def test_low_limit_comes_with_the_command_that_raises_it(limit: Limit) -> None:
    check = by_name(judge_kernel(replace(KERNEL, files={**KERNEL.files, limit.path: str(limit.enough - 1)})))[limit.name]
    assert check.state is State.LIMITED
    assert f"sysctl -w {limit.setting}={limit.enough}" in check.cost


def test_conntrack_table_is_told_as_the_rate_that_it_bears() -> None:
    check = by_name(judge_kernel(replace(KERNEL, files={**KERNEL.files, CONNTRACK_MAX: "32768"})))["conntrack table"]
    assert check.state is State.LIMITED
    assert "273 new connections/s" in check.found


@pytest.mark.parametrize(
    ("source", "state"), [("tsc", State.OK), ("kvm-clock", State.OK), ("hpet", State.LIMITED), (None, State.LIMITED)]
)
def test_slow_clock_source_is_named(source: str | None, state: State) -> None:
    assert by_name(judge_kernel(replace(KERNEL, files={**KERNEL.files, CLOCK_SOURCE: source})))["clock source"].state is state


@pytest.mark.parametrize(("stolen", "state", "found"), [(2, State.OK, "1%"), (76, State.LIMITED, "38%")])
def test_cpu_that_the_host_gives_to_others_is_told(stolen: int, state: State, found: str) -> None:
    check = judge_steal(f"cpu  100 0 50 800 0 0 10 5 0 0\ncpu  {200 - stolen} 0 100 850 0 0 10 {5 + stolen} 0 0\n")
    assert (check.state, check.found) == (state, f"{found} at this moment (steal)")
    assert ("INVALID" in check.cost) == (state is State.LIMITED)


def test_little_disk_is_limited() -> None:
    assert by_name(judge_kernel(replace(KERNEL, disk_free_bytes=2**30)))["disk of the engine"].state is State.LIMITED


@pytest.mark.parametrize(
    ("network", "free"),
    [("10.100.7.0/25", 255), ("198.18.3.9/32", 255), ("198.19.0.0/24", 255), ("10.100.0.0/20", 240), ("172.17.0.0/16", 256)],
)
def test_address_slots_that_overlap_are_counted_out(network: str, free: int) -> None:
    check = subnets((network, "host route dev tun0"))
    assert check.found.startswith(f"{free} of 256 free")
    assert check.state is (State.OK if free == 256 else State.LIMITED)
    assert (f"{network} (host route dev tun0)" in check.found) == (free < 256)


def test_pool_that_is_taken_whole_stops_every_run() -> None:
    check = subnets(("10.0.0.0/8", "host route dev tun0"))
    assert (check.state, check.required) == (State.MISSING, True)
    assert "nothing can run" in check.cost


def test_long_lists_of_owners_are_cut() -> None:
    check = subnets(*((f"10.100.{third}.0/24", f"docker network n{third}") for third in range(5)))
    assert "docker network n2) and 2 more" in check.found
    assert "n3" not in check.found
