"""Starts containers again that a fault ended and whose orchestrator did not live to heal it."""

import time
from collections.abc import Callable, Sequence
from typing import Any


def revive(client: Any, containers: Sequence[str], after_s: float, *, sleep: Callable[[float], None] = time.sleep) -> list[str]:
    """After that time, start those of these ids that ended and that nobody started since now. Returns them.

    What was healed in time has begun another life, and what ended once more in it belongs to another fault.
    """
    began = {item: state["StartedAt"] for item in containers if (state := _state(client, item)) is not None}
    sleep(after_s)
    revived = []
    for item, at in began.items():
        state = _state(client, item)
        if state is not None and not state["Running"] and state["StartedAt"] == at:
            client.containers.get(item).start()
            revived.append(item)
    return revived


def _state(client: Any, container: str) -> dict[str, Any] | None:
    import docker.errors  # noqa: TID251 - 0.3 s that the guard must not wait for

    try:
        found: dict[str, Any] = client.containers.get(container).attrs["State"]
    except docker.errors.NotFound:
        return None
    return found
