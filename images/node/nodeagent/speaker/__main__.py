"""`python3 -m nodeagent.speaker`: started by init on nodes with paths of kind `bgp` or `vip`."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from nodeagent.proxy.endpoints import read_slice
from nodeagent.proxy.services import read_service
from nodeagent.settings import Settings, SettingsError, read_settings
from nodeagent.speaker.speaker import Speaker
from nodeagent.speaker.speech import Announcement, Object
from nodeagent.speaker.voice import DaemonVoice
from testbed_init.events import EventWriter
from testbed_kube.watch import ResourceWatch, identify, open_session

CONFIG = Path("/etc/testbed/config.json")
CA = Path("/etc/testbed/pki/ca.crt")
RESOURCES: dict[str, tuple[str, Callable[[Object], object]]] = {
    "services": ("/api/v1/services", read_service),
    "endpointslices": ("/apis/discovery.k8s.io/v1/endpointslices", read_slice),
    "nodes": ("/api/v1/nodes", identify),
}
"""Where each is, and how it is read."""


async def speak(settings: Settings, announcements: list[Announcement]) -> None:
    events = EventWriter(source=f"{settings.node}/speaker")
    speaker = Speaker(node=settings.node, announcements=announcements, voice=DaemonVoice(), events=events)
    async with (
        open_session(api_url=settings.api_url, token=settings.token, ca_file=CA) as session,
        asyncio.TaskGroup() as tasks,
    ):
        for resource, (path, read) in RESOURCES.items():
            watch = ResourceWatch(
                session=session,
                path=path,
                resource=resource,
                on_change=speaker.noting(resource),
                events=events,
                clock=time.monotonic_ns,
                read=read,
            )
            tasks.create_task(watch.run())
        tasks.create_task(speaker.run())


def main() -> int:
    try:
        settings = read_settings(CONFIG)
        routing = json.loads(CONFIG.read_text(encoding="utf-8"))["settings"]["routing"]
        announcements = [Announcement(**item) for item in routing["announcements"]]
    except (SettingsError, OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"nodeagent.speaker: {error!r}\n")
        return 64
    asyncio.run(speak(settings, announcements))
    return 0


if __name__ == "__main__":
    sys.exit(main())
