"""What clients see of each fault on a real testbed: which faults strike together there, and what shows that each has struck."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from run_world import RunWorld

NODE_PORT, POD_PORT, API_PORT, HEALTHZ_PORT = 32213, 8080, 6443, 10256
CLUSTER_IP = "10.3.241.152"
POD_ADDRESS = re.compile(r"\b10\.0\.\d+\.\d+\b(?!/)")
RECEIVED = "/sys/class/net/eth0/statistics"

SEND = """
import socket, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(int(sys.argv[2])):
    sock.sendto(b"x" * int(sys.argv[3]), (sys.argv[1], 9))
    if number % 20 == 0:
        time.sleep(0.001)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The testbed as its clients, its nodes and its pods see it."""

    world: RunWorld

    def node_port(self, node: str) -> str:
        return self.world.probe(self.world.address(node), NODE_PORT)[0]

    def load_balancer(self, times: int = 1) -> list[str]:
        return self.world.probe(self.world.address("loadbalancer", "clients"), 80, times=times)

    def cluster_ip(self) -> str:
        return self.world.probe(CLUSTER_IP, 80)[0]

    def node_health(self, node: str, source: str) -> str:
        """Asked by another node."""
        return self.world.probe(self.world.address(node), HEALTHZ_PORT, source=source)[0]

    def api(self, source: str = "node-1") -> str:
        return self.world.probe(self.world.address("controlplane"), API_PORT, source=source)[0]

    def rule_writer(self, node: str) -> str:
        return self.world.execute(node, "cat", "/run/testbed/rule-writer").split()[1]

    def pods_in_rules(self, node: str) -> set[str]:
        """Addresses of the pods to which the node's rules lead."""
        return set(POD_ADDRESS.findall(self.world.execute(node, "nft", "--stateless", "list", "table", "ip", "kube-proxy")))

    def pods_on(self, node: str) -> int:
        """How many of the load balancer's answers came from there."""
        return sum(json.loads(text)["node"] == node for text in self.load_balancer(times=24) if serves(text))

    def pod_on(self, node: str) -> str:
        """Address of the first pod there."""
        return sorted(self.world.execute(node, "grep", "-h", ".", "-r", "/run/testbed/pods", "--include=address").split())[0]

    def pod(self, node: str, source: str) -> str:
        """Asked directly, by another node: nobody else has routes to pods."""
        return self.world.probe(self.pod_on(node), POD_PORT, source=source)[0]

    def pod_takes_s(self, node: str, source: str) -> float:
        """The median of some requests, which must not all come at the one instant when it is served."""
        timed = self.world.time(self.pod_on(node), POD_PORT, source=source, times=5, every_s=0.03)
        return median(took_s for _, took_s in timed)

    def arrived(self, source: str, target: str, *, count: int, size_bytes: int, what: str) -> int:
        """Packets or bytes that the target's link got while the source sent so much."""
        before = int(self.world.execute(target, "cat", f"{RECEIVED}/{what}"))
        self.world.execute(source, "python3", "-c", SEND, self.world.address(target), str(count), str(size_bytes))
        return int(self.world.execute(target, "cat", f"{RECEIVED}/{what}")) - before


def serves(answer: str) -> bool:
    return answer.startswith("{")


def is_silent(answer: str) -> bool:
    """Whoever has been asked before may also know by now that nobody answers to its address (EHOSTUNREACH)."""
    return answer in ("silence", "OSError")


def loses_half(view: View) -> bool:
    """Of 600 packets, at four standard deviations."""
    return 250 < view.arrived("node-2", "node-1", count=600, size_bytes=100, what="rx_packets") < 350


def is_narrow(view: View) -> bool:
    """Of 1.2 Mbit sent at once, a link of 1 Mbit/s with a queue of 50 ms lets a part pass."""
    return view.arrived("node-1", "node-3", count=120, size_bytes=1200, what="rx_bytes") < 100_000


Effect = Callable[[View], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """One fault and what shows that it has struck, and that it has not or no more."""

    fault: str
    options: Mapping[str, object] = field(default_factory=dict)
    has_struck: Effect
    stays_over: bool = True
    """False: what it did is not undone by its heal alone."""

    @property
    def name(self) -> str:
        return " ".join(map(str, (self.fault, *(value for key, value in self.options.items() if key in ("from", "mode")))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """Strikes at one instant, on targets of their own."""

    strikes: tuple[Strike, ...]
    renews_pods: bool = False
    """Pods have another life and other addresses afterwards."""

    @property
    def name(self) -> str:
        return "+".join(strike.name for strike in self.strikes)


def on(node: str, **options: object) -> Mapping[str, object]:
    return {"target": node, **options}


STRIKES = (
    Together(
        strikes=(
            Strike(
                fault="node-pause",
                options=on("node-2"),
                # Its kernel forwards to the pods of others; its own programs answer nobody.
                has_struck=lambda view: view.node_health("node-2", "node-1") == "silence",
            ),
            Strike(fault="link-down", options=on("node-3"), has_struck=lambda view: is_silent(view.node_port("node-3"))),
        ),
    ),
    Together(
        strikes=(
            Strike(
                fault="partition",
                options=on("node-1") | {"from": "control-plane"},
                has_struck=lambda view: is_silent(view.api("node-1")) and serves(view.pod("node-1", "node-2")),
            ),
            Strike(
                fault="partition",
                options=on("node-2") | {"from": "gateway"},
                has_struck=lambda view: is_silent(view.node_port("node-2")) and not is_silent(view.api("node-2")),
            ),
            Strike(
                fault="partition",
                options=on("node-3") | {"from": "peers"},
                has_struck=lambda view: is_silent(view.node_health("node-3", "node-1")) and not is_silent(view.api("node-3")),
            ),
        ),
    ),
    Together(
        strikes=(
            Strike(fault="rate", options=on("node-1", mbit_per_s=1), has_struck=is_narrow),
            Strike(fault="loss", options=on("node-2", ratio="50%", direction="out"), has_struck=loses_half),
            # There and back, for the connection and for the request.
            Strike(
                fault="delay",
                options=on("node-3", delay="50ms"),
                has_struck=lambda view: view.pod_takes_s("node-3", "node-1") > 0.19,
            ),
        ),
    ),
    Together(
        strikes=(
            Strike(
                fault="cpu-squeeze",
                options=on("node-1", cpu="5%"),
                has_struck=lambda view: view.pod_takes_s("node-1", "node-2") > 0.03,
            ),
            Strike(fault="conntrack-full", options=on("node-3"), has_struck=lambda view: is_silent(view.node_port("node-3"))),
        ),
    ),
    Together(
        strikes=(
            # Alone: whoever writes no rules goes on leading to these pods.
            Strike(
                fault="pod-not-ready",
                options=on("node-3", pods="all"),
                has_struck=lambda view: view.pods_on("node-3") == 0 and serves(view.pod("node-3", "node-1")),
            ),
        ),
    ),
    Together(
        strikes=(
            Strike(
                fault="agent-kill",
                options=on("node-1"),
                has_struck=lambda view: (
                    view.node_health("node-1", "node-3") == "ConnectionRefusedError" and serves(view.pod("node-1", "node-3"))
                ),
            ),
            Strike(
                fault="agent-pause",
                options=on("node-2"),
                has_struck=lambda view: (
                    view.node_health("node-2", "node-3") == "silence" and serves(view.pod("node-2", "node-3"))
                ),
            ),
        ),
    ),
    Together(
        strikes=(
            Strike(
                fault="lb-kill",
                has_struck=lambda view: view.load_balancer() == ["ConnectionRefusedError"] and serves(view.node_port("node-1")),
            ),
            Strike(
                fault="controlplane-down",
                options={"mode": "pause"},
                has_struck=lambda view: view.api() == "silence" and serves(view.node_port("node-2")),
            ),
        ),
    ),
    Together(
        strikes=(
            Strike(
                fault="lb-pause", has_struck=lambda view: view.load_balancer() == ["silence"] and serves(view.node_port("node-1"))
            ),
            Strike(
                fault="controlplane-down",
                options={"mode": "kill"},
                has_struck=lambda view: view.api() == "ConnectionRefusedError" and serves(view.node_port("node-2")),
            ),
        ),
    ),
    Together(
        strikes=(
            Strike(fault="node-kill", options=on("node-2"), has_struck=lambda view: is_silent(view.node_port("node-2"))),
            Strike(fault="node-stop", options=on("node-3"), has_struck=lambda view: is_silent(view.node_port("node-3"))),
        ),
        renews_pods=True,
    ),
    Together(
        strikes=(
            # Pods that were drained do not come back by themselves.
            Strike(
                fault="node-drain",
                options=on("node-2"),
                has_struck=lambda view: view.pods_on("node-2") == 0,
                stays_over=False,
            ),
        ),
        renews_pods=True,
    ),
)

TESTS = "tests/e2e/test_faults_of_machines.py"
ELSEWHERE = {
    "gateway-reboot": (TESTS, "test_a_reboot_interrupts_and_everything_is_back"),
    "kube-proxy-kill": (TESTS, "test_rules_of_a_node_without_kube_proxy_stay_as_they_are_until_it_is_healed"),
    "kube-proxy-pause": (TESTS, "test_rules_of_a_node_without_kube_proxy_stay_as_they_are_until_it_is_healed"),
    "lb-reload": (TESTS, "test_a_reload_loses_nobody_and_leaves_one_haproxy"),
    "no-op": (TESTS, "test_a_no_op_under_load_loses_nothing_delays_nothing_and_changes_nothing"),
    "node-reboot": (TESTS, "test_a_reboot_interrupts_and_everything_is_back"),
    "node-replace": (TESTS, "test_a_replaced_node_is_gone_for_good_and_another_serves"),
    "pod-kill": (TESTS, "test_killed_pods_refuse_connections_until_their_kubelet_has_started_them_again"),
    "rolling-restart": (TESTS, "test_rolling_restart_gives_every_node_another_life"),
    "scale": ("tests/e2e/test_node_kill.py", "test_rescale_up_loses_nothing_and_drained_rescale_down_loses_nothing_on_nodeport"),
}
"""Faults that are shown by a test of their own, effect and end: it is named."""
