"""Rules of a kube-proxy that is not ours, read back from the kernel: commits told, chains understood."""

import asyncio
import json

import pytest

from nodeagent.observer.generations import HEADER, NEW_GENERATION, count_commits
from nodeagent.observer.observer import RulesObserver
from nodeagent.observer.tables import read_iptables, read_nftables
from testbed_init.events import RecordedEvents

NEW_RULE = 10 << 8 | 6
WEB, WEB_KEY = "service-ULMVA6XW-default/web/tcp/http", "default/web:http"


def message(kind: int, content: bytes = b"") -> bytes:
    length = HEADER.size + len(content)
    return HEADER.pack(length, kind, 0, 0, 0) + content.ljust((len(content) + 3) & ~3, b"\0")


@pytest.mark.parametrize(
    ("received", "commits"),
    [
        (b"", 0),
        (message(NEW_RULE, b"rules"), 0),
        (message(NEW_RULE, b"rules") + message(NEW_GENERATION, b"generation"), 1),
        (message(NEW_GENERATION) + message(NEW_RULE) + message(NEW_GENERATION), 2),
        (message(NEW_GENERATION)[:-1], 0),
        (HEADER.pack(0, NEW_GENERATION, 0, 0, 0), 0),
    ],
)
def test_each_generation_that_is_told_ends_one_commit(received: bytes, commits: int) -> None:
    assert count_commits(received) == commits


def rule(chain: str, *expressions: object) -> dict:
    return {"rule": {"family": "ip", "table": "kube-proxy", "chain": chain, "handle": 7, "expr": list(expressions)}}


def spread(*targets: tuple[str, int]) -> dict:
    elements = [[index, {"concat": list(target)}] for index, target in enumerate(targets)]
    return {"dnat": {"family": "ip", "addr": {"map": {"key": {"numgen": {"mode": "random"}}, "data": {"set": elements}}}}}


def choose(*endpoints: str) -> dict:
    elements = [[index, {"goto": {"target": f"endpoint-{name}"}}] for index, name in enumerate(endpoints)]
    return {"vmap": {"key": {"numgen": {"mode": "random"}}, "data": {"set": elements}}}


def listing(*rules: dict) -> str:
    chain = {"chain": {"family": "ip", "table": "kube-proxy", "name": "services", "handle": 1}}
    return json.dumps({"nftables": [{"metainfo": {"version": "1.0.6"}}, chain, *rules]})


@pytest.mark.parametrize(
    ("rules", "programmed"),
    [
        ([], {}),
        ([rule(WEB, spread(("10.0.1.2", 8080), ("10.0.2.2", 8080)))], {WEB_KEY: {"10.0.1.2:8080", "10.0.2.2:8080"}}),
        (
            [rule(WEB, choose("ULMVA6XW-default/web/tcp/http__10.0.1.2/8080"))],
            {WEB_KEY: {"10.0.1.2:8080"}},
        ),
        ([rule("service-ABCDEFGH-a/b/udp/", spread(("10.0.1.2", 53)))], {"a/b:": {"10.0.1.2:53"}}),
        ([rule("external-ULMVA6XW-default/web/tcp/http", {"goto": {"target": WEB}})], {}),
    ],
    ids=["nothing yet", "addresses in a map", "affinity: chains of endpoints", "port without a name", "external chain"],
)
def test_endpoints_are_read_from_the_service_chains_of_nftables(rules: list, programmed: dict) -> None:
    assert read_nftables(listing(*rules)) == programmed


def test_a_table_that_kube_proxy_has_not_filled_yet_says_nothing() -> None:
    assert read_nftables(json.dumps({"nftables": [{"table": {"name": "kube-proxy"}}]})) is None
    assert read_iptables("*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n") is None


SAVED = """\
*nat
:KUBE-SERVICES - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-SERVICES -d 10.3.240.10/32 -p tcp -m comment --comment "default/web:http cluster IP" -m tcp --dport 80 -j KUBE-SVC-AAAA
-A KUBE-SERVICES -d 10.3.240.11/32 -p udp -m comment --comment "default/dns cluster IP" -m udp --dport 53 -j KUBE-SVL-BBBB
-A KUBE-SERVICES -d 198.18.0.9/32 -p tcp -m comment --comment "default/web:http external IP" -m tcp --dport 80 -j KUBE-EXT-AAAA
-A KUBE-EXT-AAAA -j KUBE-SVC-AAAA
-A KUBE-SVC-AAAA ! -s 10.0.0.0/16 -d 10.3.240.10/32 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ
-A KUBE-SVC-AAAA -m comment --comment "default/web:http -> 10.0.1.2:8080" -m statistic --mode random --probability 0.5 -j KUBE-SEP-1
-A KUBE-SVC-AAAA -m comment --comment "default/web:http -> 10.0.2.2:8080" -j KUBE-SEP-2
-A KUBE-SVC-BBBB -j KUBE-SEP-3
-A KUBE-SEP-1 -s 10.0.1.2/32 -m comment --comment "default/web:http" -j KUBE-MARK-MASQ
-A KUBE-SEP-1 -p tcp -m comment --comment "default/web:http" -m tcp -j DNAT --to-destination 10.0.1.2:8080
-A KUBE-SEP-2 -p tcp -m tcp -j DNAT --to-destination 10.0.2.2:8080
-A KUBE-SEP-3 -p udp -m udp -j DNAT --to-destination 10.0.1.2:53
COMMIT
"""


def test_endpoints_are_read_from_the_chains_of_iptables_with_and_without_comments() -> None:
    assert read_iptables(SAVED) == {"default/web:http": {"10.0.1.2:8080", "10.0.2.2:8080"}, "default/dns:": {"10.0.1.2:53"}}


class ScriptedCommits:
    """One list for each reading: the instants of the commits that come while it goes on."""

    def __init__(self, *during: list[int]) -> None:
        self.during = list(during)
        self.waited = 0

    def told_ns(self) -> int | None:
        return max(self.during.pop(0), default=None)

    async def next_ns(self) -> int:
        self.waited += 1
        await asyncio.Event().wait()
        raise AssertionError


def test_commit_that_comes_during_a_reading_is_read_before_the_next_is_waited_for() -> None:
    events = RecordedEvents()
    observer = RulesObserver(node="node-1", mode="nftables", events=events, clock=lambda: 1)
    # The first reading began before the commit at 7 and does not hold it.
    readings = [listing(rule(WEB, spread(("10.0.1.2", 8080)))), listing(rule(WEB, spread(("10.0.2.2", 8080))))]
    commits = ScriptedCommits([5, 7], [])

    async def read() -> str:
        return readings.pop(0)

    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(observer.follow(commits, read), 0.05))
    told = [(fields["t_mono_ns"], fields["endpoints"]) for _, fields in events.seen]
    assert told == [(7, {WEB_KEY: ["10.0.1.2:8080"]}), (7, {WEB_KEY: ["10.0.2.2:8080"]})]
    assert (readings, commits.waited) == ([], 1)


def observe(*listings: str) -> list[dict]:
    """What is told of these readings, one after the other; the n-th was committed at instant n."""
    events = RecordedEvents()
    observer = RulesObserver(node="node-1", mode="nftables", events=events, clock=lambda: 0)
    for number, text in enumerate(listings, 1):
        observer._report(text, number)
    assert {name for name, _ in events.seen} <= {"rules-committed"}
    return [fields for _, fields in events.seen]


def test_only_what_a_commit_changed_is_told_with_its_instant() -> None:
    one, two = spread(("10.0.1.2", 8080)), spread(("10.0.1.2", 8080), ("10.0.2.2", 8080))
    other = rule("service-ABCDEFGH-a/b/udp/dns", spread(("10.0.1.9", 53)))
    told = observe(listing(rule(WEB, one), other), listing(rule(WEB, two), other), listing(rule(WEB, two), other), listing(other))
    assert [(fields["t_mono_ns"], fields["endpoints"]) for fields in told] == [
        (1, {"a/b:dns": ["10.0.1.9:53"], WEB_KEY: ["10.0.1.2:8080"]}),
        (2, {WEB_KEY: ["10.0.1.2:8080", "10.0.2.2:8080"]}),
        (4, {WEB_KEY: []}),
    ]
    assert {(fields["writer"], fields["revision"], fields["duration_ms"]) for fields in told} == {("kube-proxy", None, None)}


def test_nothing_is_told_before_the_table_stands_and_all_is_gone_when_it_is_emptied() -> None:
    empty = json.dumps({"nftables": [{"table": {"name": "kube-proxy"}}]})
    told = observe("", empty, listing(), listing(rule(WEB, spread(("10.0.1.2", 8080)))), "", empty)
    assert [(fields["t_mono_ns"], fields["endpoints"]) for fields in told] == [
        (3, {}),
        (4, {WEB_KEY: ["10.0.1.2:8080"]}),
        (6, {WEB_KEY: []}),
    ]
