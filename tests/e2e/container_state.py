"""Runs inside a container of a run (`python3 -c`) and prints what a fault could leave behind there, as JSON: part -> lines.

Links, addresses, routes and their rules, permanent neighbours, queues, every table of nftables and what iptables has, each to the
byte; processes of init's own and HAProxy's, and whether they are stopped. Left out is what counts or numbers things (counters,
handles, numbers of links), what another life changes (link-layer addresses), and the links of pods, which come and go with them.
"""

import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

OF_PODS = re.compile(r"(^|dev |[0-9]: )(veth|cbr0)")
NUMBERS = re.compile(
    r"^[0-9]+: |(?<=qdisc tbf )[0-9a-f]+:|@if[0-9]+|link/ether \S+( brd \S+)?|link-netnsid [0-9]+|\[[0-9]+:[0-9]+\]|valid_lft \S+|preferred_lft \S+"
)
PARTS = {
    "links": ("ip", "-oneline", "link"),
    "addresses": ("ip", "-brief", "address"),
    "routes": ("ip", "route", "show", "table", "all"),
    "routing rules": ("ip", "rule"),
    "permanent neighbours": ("ip", "neigh", "show", "nud", "permanent"),
    "queues": ("tc", "qdisc"),
}


def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False).stdout


def lines_of(argv):
    return sorted(" ".join(NUMBERS.sub("", line).split()) for line in run(*argv).splitlines() if not OF_PODS.search(line))


def canonical(item):
    """Less handles and counts, and with the elements of a set in an order of their own."""
    if isinstance(item, list):
        return [canonical(member) for member in item]
    if not isinstance(item, dict):
        return item
    kept = {key: canonical(value) for key, value in item.items() if key not in ("handle", "index")}
    if isinstance(kept.get("counter"), dict) and "packets" in kept["counter"]:
        kept["counter"] = None
    if "elem" in kept and isinstance(kept["elem"], list):
        kept["elem"] = sorted(kept["elem"], key=json.dumps)
    return kept


def tables():
    """`nft FAMILY TABLE` -> its chains, sets and maps, and the rules of each chain in their order."""
    found = defaultdict(list)
    rules = Counter()
    for entry in json.loads(run("nft", "--json", "--stateless", "list", "ruleset") or '{"nftables": []}')["nftables"]:
        for kind, item in entry.items():
            if kind == "metainfo":
                continue
            content = canonical(item)
            place = ""
            if kind == "rule":
                chain = (content["family"], content["table"], content["chain"])
                place = f"{rules[chain]:04}"
                rules[chain] += 1
            name = content.get("chain") or content.get("name")
            table = content["name"] if kind == "table" else content["table"]
            found[f"nft {content['family']} {table}"].append(f"{kind} {name} {place} {json.dumps(content, sort_keys=True)}")
    return {table: sorted(lines) for table, lines in found.items()}


def processes():
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(") ")[2].split()
            words = (entry / "cmdline").read_text().split("\0")
        except OSError:
            continue  # no process, or one that has just ended
        name = Path(words[0]).name
        if name == "haproxy" or (int(fields[1]) == 1 and not name.startswith("nginx")):
            found[name if name == "haproxy" else " ".join(words[:3])] = "stopped" if fields[0] in "Tt" else "running"
    return found


def rule_writer():
    try:
        return Path("/run/testbed/rule-writer").read_text().split()[1]
    except OSError:
        return None


state = {part: lines_of(argv) for part, argv in PARTS.items()}
state["iptables"] = [NUMBERS.sub("", line) for line in run("iptables-save").splitlines() if not line.startswith("#")]
state |= tables()
state["processes"] = processes()
state["rule writer"] = rule_writer()
sys.stdout.write(json.dumps(state))
