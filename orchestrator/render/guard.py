"""The guard: host rules that keep every packet of a run on the run's own bridges. Pure; the warden writes them."""

from collections.abc import Mapping, Sequence

from orchestrator.model.plan import NetworkName

PRIORITY = -10
"""Before the engine's own filter chains (0), so that none of their accepts comes first."""
LONGEST_INTERFACE_NAME = 15
"""IFNAMSIZ less the terminating zero."""
_LETTER = {NetworkName.CLIENTS: "c", NetworkName.NODES: "n", NetworkName.MGMT: "m"}


def bridge_name(run_id: str, network: NetworkName) -> str:
    """The bridge's name on the engine's host. Raises ValueError for a run id that leaves no room."""
    name = f"itb{run_id}{_LETTER[network]}"
    if len(name) > LONGEST_INTERFACE_NAME:
        raise ValueError(f"bridge name {name!r} is longer than {LONGEST_INTERFACE_NAME} characters")
    return name


def guard_table(run_id: str) -> str:
    return f"ingress_testbed_{run_id}"


def render_guard(run_id: str, *, published_port: int) -> str:
    """The nft script that replaces the run's table. Bridges are matched by name, so it can stand before they exist.

    Nothing passes between a bridge of the run and any other interface, not even another bridge of the run (the gateway
    container alone routes between them); the host neither hears the run nor speaks to it, but for the published API port.
    Without it, frames aimed at a bridge's own MAC address left the machine.
    """
    bridges = {network: bridge_name(run_id, network) for network in NetworkName}
    table = f"table inet {guard_table(run_id)}"
    mgmt = bridges[NetworkName.MGMT]
    every = ", ".join(f'"{name}"' for name in bridges.values())
    chains = {
        "forward": [rule for name in bridges.values() for rule in _stay_inside(name)],
        "input": [f'iifname "{mgmt}" ct state established,related accept', f"iifname {{ {every} }} counter drop"],
        "output": [f'oifname "{mgmt}" tcp dport {published_port} accept', f"oifname {{ {every} }} counter drop"],
    }
    # Adding, deleting and adding again in one transaction replaces what an earlier attempt of the run may have left.
    return f'{table} {{}}\ndelete {table}\n{table} {{\n    comment "{guard_comment(run_id)}"\n{_render_chains(chains)}}}\n'


def guard_comment(run_id: str) -> str:
    """By this comment the table is found again, never by its name."""
    return f"ingress-testbed run {run_id}"


def _stay_inside(name: str) -> tuple[str, str]:
    # Bridged packets pass the forward hook too where br_netfilter is loaded, with the bridge as both interfaces.
    return f'iifname "{name}" oifname != "{name}" counter drop', f'iifname != "{name}" oifname "{name}" counter drop'


def _render_chains(chains: Mapping[str, Sequence[str]]) -> str:
    text = ""
    for hook, rules in chains.items():
        text += f"    chain {hook} {{\n        type filter hook {hook} priority {PRIORITY}; policy accept;\n"
        text += "".join(f"        {rule}\n" for rule in rules) + "    }\n"
    return text
