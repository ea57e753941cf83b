"""What the node tells a HAProxy that asks its agent (`agent-check`): whether a Service can be reached through this node.

The question is `<namespace>/<service>,` (`agent-send`), the answer one line: `up`, or `down #` and the reason; HAProxy 2.6 takes
`down#` for no answer. Never `drain` or `maint`: those would change the server's administrative state, which is the load
balancer's own to decide.

Source: HAProxy configuration manual 2.6, section 5.2, agent-check.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable

from nodeagent.proxy.gate import Gate
from nodeagent.proxy.health import ProxyHealth
from nodeagent.proxy.services import ServicePort
from testbed_init.events import EventSink

AGENT_PORT = 10257
QUESTION_BYTES = 512
DEADLINE_S = 2.0
RETRY_S = 5.0


def render_word(service: str, ports: Iterable[ServicePort], *, proxy_healthy: bool, node_eligible: bool) -> str:
    """The answer, without its newline. With externalTrafficPolicy Local only the node's own ready endpoints count."""
    if not proxy_healthy:
        return "down #rules are stale"
    if not node_eligible:
        return "down #node is leaving"
    own = [port for port in ports if f"{port.namespace}/{port.name}" == service]
    if not own:
        return "down #no such service"
    if any(item.ready and (item.local or not port.external_local) for port in own for item in port.usable.every):
        return "up"
    return "down #no ready endpoint here" if any(port.external_local for port in own) else "down #no ready endpoint"


class AgentCheckServer:
    """Answers every connection with one word, by the latest commit."""

    def __init__(self, *, node: str, address: str, health: ProxyHealth, events: EventSink, gate: Gate | None = None) -> None:
        self._node = node
        self._address = address
        self._health = health
        self._events = events
        self._gate = gate or Gate()
        self._ports: Collection[ServicePort] = ()

    def after_commit(self, ports: Collection[ServicePort]) -> None:
        self._ports = ports

    async def run(self) -> None:
        """Until cancelled; while another has the port, try again."""
        while True:
            try:
                server = await asyncio.start_server(self._answer, self._address, AGENT_PORT)
                break
            except OSError as error:
                self._events.emit("health-check-failed", node=self._node, service=None, port=AGENT_PORT, error=str(error))
                await asyncio.sleep(RETRY_S)
        async with server:
            await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._gate.passed()
            async with asyncio.timeout(DEADLINE_S):
                service = (await reader.readuntil(b","))[:-1][-QUESTION_BYTES:].decode(errors="replace").strip()
                word = render_word(service, self._ports, proxy_healthy=self._health.healthy, node_eligible=self._health.eligible)
                writer.write(f"{word}\n".encode())
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asked has gone, or has asked nothing: to HAProxy no answer is no verdict
        finally:
            writer.close()
