"""A control plane on 127.0.0.1 over TLS in a thread of the test, with kubelets that obey at once, and kubectl against it."""

import asyncio
import datetime
import subprocess
import threading
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeVar

from controlplane.__main__ import listen, make_tls
from controlplane.assembly import ControlPlane, assemble
from controlplane.clock import LoopClock, render_micro_time
from controlplane.cluster import Cluster
from controlplane.controllers.loop import ControlLoop
from controlplane.settings import Bind
from controlplane.store.journal import Journal
from orchestrator.render.kubeconfig import render_kubeconfig
from orchestrator.testbed.pki import make_secrets
from testbed_init.events import RecordedEvents
from tests.component.controlplane.cp_world import Kubelets, make_settings, node_status
from tests.integration.kubectl_programs import NEWEST

LOOPBACK = IPv4Address("127.0.0.1")
Result = TypeVar("Result")


class Server:
    """Everything runs in the thread's event loop; `call` goes there and back."""

    def __init__(self, directory: Path, *, journal: Path | None = None, **settings: object) -> None:
        self.directory = directory
        now = datetime.datetime.now(datetime.UTC)
        self.secrets = make_secrets(addresses=[LOOPBACK], now=now, lifetime=datetime.timedelta(hours=1))
        for name, content in (
            ("ca.crt", self.secrets.ca_pem),
            ("server.crt", self.secrets.server_pem),
            ("server.key", self.secrets.server_key_pem),
        ):
            (directory / name).write_bytes(content)
        self._journal_path = journal
        self._settings = make_settings(bind="127.0.0.1:0", token=self.secrets.token, **settings)
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stopping: asyncio.Event
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._main, name="controlplane")
        self.plane: ControlPlane
        self.kubelets: Kubelets
        self.port = 0
        self.kubectl_program = NEWEST

    def __enter__(self) -> "Server":
        self._thread.start()
        self._started.wait(10)
        if self._failure is not None:
            raise self._failure
        server = f"https://127.0.0.1:{self.port}"
        text = render_kubeconfig(run_id="test", server=server, ca_pem=self.secrets.ca_pem, token=self.secrets.token)
        (self.directory / "kubeconfig").write_text(text, encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except Exception as error:  # noqa: BLE001 - raised again where the test waits
            self._failure = error
            self._started.set()

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        journal = Journal(self._journal_path, keep=1000)
        self.plane = assemble(
            self._settings,
            journal=journal,
            clock=LoopClock(),
            events=RecordedEvents(),
            api_ip=LOOPBACK,
            defer=self._loop.call_soon,
        )
        self.kubelets = Kubelets(self.plane, LoopClock())
        ControlLoop(store=self.plane.cluster.store, clock=LoopClock(), defer=self._loop.call_soon).start([self.kubelets])
        tls = make_tls(self.directory)
        runner = await listen(self.plane.cluster, Bind(host="127.0.0.1", port=0), token=self.secrets.token, tls=tls)
        self.port = runner.addresses[0][1]
        self._started.set()
        await self._stopping.wait()
        await runner.cleanup()
        journal.close()

    def call(self, act: Callable[[Cluster], Result]) -> Result:
        """Run something where the control plane runs."""

        async def run() -> Result:
            return act(self.plane.cluster)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(30)

    def add_node(self, name: str) -> None:
        """A node that is ready and whose kubelet obeys."""

        def act(cluster: Cluster) -> None:
            from controlplane.kinds.node import LEASES, NODES

            self.kubelets.alive.add(name)
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": node_status(True)}
            cluster.create(NODES, node)
            metadata = {"name": name, "namespace": "kube-node-lease"}
            lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}
            spec = {"holderIdentity": name, "renewTime": render_micro_time(cluster.clock.now())}
            cluster.create(LEASES, {**lease, "spec": spec})

        self.call(act)

    def kubectl(self, *arguments: str, text: str = "", status: int = 0) -> str:
        """What kubectl prints; its standard error too when it is expected to fail."""
        argv = [
            str(self.kubectl_program),
            f"--kubeconfig={self.directory / 'kubeconfig'}",
            f"--cache-dir={self.directory / 'cache'}",
            *arguments,
        ]
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == status, f"{' '.join(argv)}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if status == 0 else done.stdout + done.stderr
