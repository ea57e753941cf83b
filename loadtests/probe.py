"""`python3 -m loadtests.probe URL`: one request on a connection of its own, told as one line of JSON."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence

from loadtests.connections.new import NewConnections
from loadtests.connections.seam import Exchange
from loadtests.connections.target import TargetError, resolve_target
from loadtests.load_file import Expect
from loadtests.outcomes import Outcome, RequestFailedError
from loadtests.responder import PodBodies

USAGE = 64  # sysexits.h EX_USAGE


def probe(
    url: str,
    *,
    timeout_s: float,
    expect: Expect,
    clock: Callable[[], int],
    connect_to: str | None = None,
    ca_file: str | None = None,
) -> dict[str, object]:
    """The record of one request. Raises TargetError for a URL that cannot be called."""
    target = resolve_target(url, connect_to=connect_to, ca_file=ca_file)
    connections = NewConnections(target, timeout_s=timeout_s, connections=1, clock=clock)
    exchange = Exchange()
    outcome, detail = Outcome.OK, ""
    try:
        connections.request(exchange)
    except RequestFailedError as error:
        outcome, detail = error.outcome, error.detail
    end_ns = clock()
    strings = [""]

    def intern(string: str) -> int:
        strings.append(string)
        return len(strings) - 1

    responder = PodBodies(intern).decode(exchange.body)
    if outcome is Outcome.OK and not 200 <= exchange.http_status < 300:
        outcome, detail = Outcome.HTTP_STATUS, str(exchange.http_status)
    elif outcome is Outcome.OK and expect is Expect.POD and responder is None:
        outcome, detail = Outcome.BAD_BODY, f"not a pod's: {exchange.body[:80]!r}"
    return {
        "url": url,
        "outcome": outcome.label,
        "http_status": exchange.http_status,
        "pod": strings[responder.pod_id] if responder else "",
        "node": strings[responder.node_id] if responder else "",
        "client": strings[responder.client_id] if responder else "",
        "local_port": exchange.local_port,
        "sent_mono_ns": exchange.sent_ns,
        "first_byte_mono_ns": exchange.first_byte_ns,
        "end_mono_ns": end_ns,
        "error": detail,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m loadtests.probe", description="Send one request and print its record.")
    parser.add_argument("url")
    parser.add_argument("--timeout-s", type=float, default=1.0)
    parser.add_argument("--expect", choices=[str(item) for item in Expect], default=str(Expect.POD))
    parser.add_argument("--connect-to", metavar="ADDRESS", help="call this address in place of the URL's host")
    parser.add_argument("--ca-file", metavar="FILE", help="who may sign the certificate (PEM)")
    given = parser.parse_args(arguments)
    try:
        record = probe(
            given.url,
            timeout_s=given.timeout_s,
            expect=Expect(given.expect),
            clock=time.monotonic_ns,
            connect_to=given.connect_to,
            ca_file=given.ca_file,
        )
    except TargetError as error:
        sys.stderr.write(f"{error}\n")
        return USAGE
    sys.stdout.write(json.dumps(record, separators=(",", ":")) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
