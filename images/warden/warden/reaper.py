"""Removes everything that carries a run's label from the engine."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

RUN_LABEL = "ingress-testbed.run"
ROLE_LABEL = "ingress-testbed.role"
QUIET_S = 0.5
"""A call of the dead orchestrator may still be carried out by the engine: what it creates is looked for again after this."""
DEADLINE_S = 60.0


def reap(client: Any, run_id: str, *, sleep: Callable[[float], None] = time.sleep) -> list[str]:
    """Until two looks in a row find nothing. Returns what is left after the deadline, with the reason."""
    quiet, failures = 0, ["not tried"]
    waited_s = 0.0
    while quiet < 2 and waited_s < DEADLINE_S:
        found, failures = _remove_all(client, run_id)
        quiet = 0 if found else quiet + 1
        if quiet < 2:
            sleep(QUIET_S)
            waited_s += QUIET_S
    return failures


def _remove_all(client: Any, run_id: str) -> tuple[int, list[str]]:
    filters = {"label": f"{RUN_LABEL}={run_id}"}
    containers = [item for item in client.containers.list(all=True, filters=filters) if item.labels.get(ROLE_LABEL) != "warden"]
    networks = client.networks.list(filters=filters)
    volumes = client.volumes.list(filters=filters)
    # Networks last: one that still has a container cannot be removed.
    removals = (
        _each(containers, lambda item: item.remove(force=True, v=True)),
        _each(networks, lambda item: item.remove()),
        _each(volumes, lambda item: item.remove(force=True)),
    )
    return len(containers) + len(networks) + len(volumes), [text for failures in removals for text in failures]


def _each(items: Iterable[Any], remove: Callable[[Any], None]) -> list[str]:
    import docker.errors  # noqa: TID251 - 0.3 s that the guard must not wait for

    def attempt(item: Any) -> str | None:
        try:
            remove(item)
        except docker.errors.NotFound:
            return None
        except docker.errors.DockerException as error:
            return f"{item.id[:12]}: {error}"
        return None

    with ThreadPoolExecutor(max_workers=8) as pool:
        return [text for text in pool.map(attempt, items) if text is not None]
