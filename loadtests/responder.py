"""Who answered: the JSON that a pod sends (docs/contracts.md section 4). Must not judge anything but the body."""

import json
from collections.abc import Callable
from dataclasses import dataclass

# A pod's body is the same for every request of a client, so decoding is a look-up; a body that varies must not fill the memory.
MOST_BODIES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Responder:
    """Ids of strings in the sample log; 0: unknown."""

    pod_id: int = 0
    node_id: int = 0
    client_id: int = 0


UNKNOWN = Responder()


class PodBodies:
    """Decodes bodies of pods, remembering the ones seen."""

    def __init__(self, intern: Callable[[str], int], *, most_bodies: int = MOST_BODIES) -> None:
        self._intern = intern
        self._most_bodies = most_bodies
        self._seen: dict[bytes, Responder | None] = {}

    def decode(self, body: bytes) -> Responder | None:
        """The pod that sent this body; None when it is not a pod's."""
        if body in self._seen:
            return self._seen[body]
        if len(self._seen) >= self._most_bodies:
            self._seen.clear()
        found = self._seen[body] = self._parse(body)
        return found

    def _parse(self, body: bytes) -> Responder | None:
        try:
            document = json.loads(body)
        except ValueError:
            return None
        if not isinstance(document, dict):
            return None
        pod, node, client = (document.get(key) for key in ("pod", "node", "client"))
        if not (isinstance(pod, str) and isinstance(node, str) and isinstance(client, str) and pod and node and client):
            return None
        return Responder(pod_id=self._intern(pod), node_id=self._intern(node), client_id=self._intern(client))
