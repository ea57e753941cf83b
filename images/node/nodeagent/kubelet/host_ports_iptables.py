"""The rules of iptables that lead to host ports, as the CNI plugin portmap writes them. Pure.

Source: containernetworking/plugins, plugins/meta/portmap, back end iptables.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence

from nodeagent.kubelet.host_ports import MappedPod

NETWORK_NAME = "testbed"
"""Of the CNI network: it is part of the names of the pods' chains."""
DNAT, SET_MARK, MASQUERADE = "CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-SETMARK", "CNI-HOSTPORT-MASQ"
MARK = "0x2000/0x2000"
"""Bit 13, the plugin's default: kube-proxy's is bit 14."""
MOST_PORTS = 15
"""That one rule of `multiport` names (iptables-extensions(8))."""
_JUMPS = (
    ("PREROUTING", f"-A PREROUTING -m addrtype --dst-type LOCAL -j {DNAT}"),
    ("OUTPUT", f"-A OUTPUT -m addrtype --dst-type LOCAL -j {DNAT}"),
    # First of its chain: it must not come after what other plugins masquerade.
    ("POSTROUTING", f'-I POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j {MASQUERADE}'),
)
_CHAIN = re.compile(r"^:(CNI-(?:HOSTPORT|DN)-\S+) ", re.MULTILINE)
_JUMP = re.compile(rf"^-A (PREROUTING|OUTPUT|POSTROUTING) (.*-j (?:{DNAT}|{MASQUERADE}))$", re.MULTILINE)


def render_iptables(pods: Sequence[MappedPod], saved: str) -> str:
    """What iptables-restore --noflush is told, so that the table nat holds these pods and no others; empty: nothing to do.

    `saved`: iptables-save's text of that table. Other than those of nftables these rules masquerade every pod of the node that
    calls a host port of its own node, as the plugin's do.
    """
    there, jumps = _CHAIN.findall(saved), _JUMP.findall(saved)
    if not pods:
        lines = [*(f"-D {chain} {rule}" for chain, rule in jumps), *(f"-X {name}" for name in there)]
        return _section(there, lines) if there else ""
    chains = {chain_name(NETWORK_NAME, pod.uid): pod for pod in pods}
    kept = (DNAT, SET_MARK, MASQUERADE, *chains)
    gone = [name for name in there if name not in kept]
    met = {chain for chain, _ in jumps}
    lines = [
        f'-A {SET_MARK} -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark {MARK}',
        f"-A {MASQUERADE} -m mark --mark {MARK} -j MASQUERADE",
        # Of two pods that claim one port the later one has it.
        *(rule for name, pod in reversed(chains.items()) for rule in _entries(name, pod)),
        *(rule for name, pod in chains.items() for rule in _rules(name, pod)),
        *(rule for chain, rule in _JUMPS if chain not in met),
        *(f"-X {name}" for name in gone),
    ]
    return _section((*kept, *gone), lines)


def chain_name(network: str, container: str) -> str:
    """28 characters, the most that iptables takes."""
    return "CNI-DN-" + hashlib.sha512((network + container).encode()).hexdigest()[:21]


def _entries(chain: str, pod: MappedPod) -> Iterator[str]:
    comment = rf'"dnat name: \"{NETWORK_NAME}\" id: \"{pod.uid}\""'
    for protocol in sorted({port.protocol for port in pod.ports}):
        numbers = [str(port.port) for port in pod.ports if port.protocol == protocol]
        for first in range(0, len(numbers), MOST_PORTS):
            listed = ",".join(numbers[first : first + MOST_PORTS])
            yield f"-A {DNAT} -p {protocol} -m comment --comment {comment} -m multiport --dports {listed} -j {chain}"


def _rules(chain: str, pod: MappedPod) -> Iterator[str]:
    for port in pod.ports:
        destination = "" if port.address is None else f"-d {port.address} "
        match = f"-A {chain} {destination}-p {port.protocol} -m {port.protocol} --dport {port.port}"
        yield f"{match} -s {pod.address.network} -j {SET_MARK}"
        yield f"{match} -s 127.0.0.1 -j {SET_MARK}"
        yield f"{match} -j DNAT --to-destination {pod.address.ip}:{port.container_port}"


def _section(chains: Iterable[str], lines: Iterable[str]) -> str:
    # Naming a chain of one's own empties it.
    return "\n".join(("*nat", *(f":{name} - [0:0]" for name in chains), *lines, "COMMIT")) + "\n"
