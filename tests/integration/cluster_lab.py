"""A control plane and one node, both real containers on a network of their own, over TLS; the API asked from outside."""

from __future__ import annotations

import datetime
import json
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

import docker
import httpx
import pytest

from orchestrator.testbed.pki import make_secrets
from role_container import RoleContainer, private_network, render_config, started

NODE, API_PORT = "node-1", 6443
SERVICES = "/api/v1/namespaces/default/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
# As compose/testbed.yaml gives the node.
NODE_CAPABILITIES = (
    "NET_ADMIN",
    "SYS_ADMIN",
    "NET_RAW",
    "NET_BIND_SERVICE",
    "SETUID",
    "SETGID",
    "CHOWN",
    "DAC_OVERRIDE",
    "KILL",
)
NODE_SYSCTLS = {
    "net.ipv4.ip_forward": "1",
    "net.ipv4.icmp_ratelimit": "0",
    "net.ipv4.conf.all.rp_filter": "2",
    "net.netfilter.nf_conntrack_tcp_timeout_established": "86400",
    "net.netfilter.nf_conntrack_tcp_timeout_close_wait": "3600",
}


@dataclass(frozen=True, slots=True)
class ClusterLab:
    """Both containers and a client of the API."""

    controlplane: RoleContainer
    node: RoleContainer
    node_ip: str
    api: httpx.Client

    def create(self, path: str, item: Mapping[str, Any]) -> Any:
        return self._checked(self.api.post(path, json=item))

    def patch(self, path: str, change: Mapping[str, Any]) -> Any:
        return self._checked(self.api.patch(path, content=json.dumps(change), headers=MERGE_PATCH))

    def delete(self, path: str) -> Any:
        return self._checked(self.api.delete(path))

    def _checked(self, response: httpx.Response) -> Any:
        assert response.is_success, f"{response.request.method} {response.request.url}: {response.status_code} {response.text}"
        return response.json()


@contextmanager
def cluster(
    client: docker.DockerClient, *, objects: Sequence[Mapping[str, Any]] = (), kube_proxy: Mapping[str, Any] | None = None
) -> Iterator[ClusterLab]:
    """Up when the node has committed its first rules. `objects` are there before the API answers."""
    with ExitStack() as stack:
        network = stack.enter_context(private_network(client))
        (pool,) = client.networks.list(names=[network])[0].attrs["IPAM"]["Config"]
        # The engine gives the addresses: the first two behind its own, in the order of starts.
        controlplane_ip, node_ip = (IPv4Network(pool["Subnet"])[host] for host in (2, 3))
        now = datetime.datetime.now(datetime.UTC)
        secrets = make_secrets(addresses=[controlplane_ip], now=now, lifetime=datetime.timedelta(hours=1))
        authority = {"/etc/testbed/pki/ca.crt": secrets.ca_pem}
        key = {"/etc/testbed/pki/server.crt": secrets.server_pem, "/etc/testbed/pki/server.key": secrets.server_key_pem}
        api_url = f"https://{controlplane_ip}:{API_PORT}"
        shared = {"token": secrets.token, "cluster_cidr": "10.0.0.0/16", "service_cidr": "10.3.240.0/20"}
        controlplane = stack.enter_context(
            started(
                client,
                "controlplane",
                network=network,
                files={**authority, **key},
                config=_config(
                    "controlplane", "api", "controlplane", {**shared, "bind": f"0.0.0.0:{API_PORT}", "objects": objects}
                ),
            )
        )
        assert controlplane.address == str(controlplane_ip)
        api = stack.enter_context(
            httpx.Client(
                base_url=api_url,
                headers={"Authorization": f"Bearer {secrets.token}"},
                verify=ssl.create_default_context(cadata=secrets.ca_pem.decode()),
                trust_env=False,
            )
        )
        wait_ready(api)
        proxy = {"mode": "nftables", "min_sync_period_s": 0.1, "sync_period_s": 3.0, **(kube_proxy or {})}
        kubelet = {"lease_renew_s": 1.0, "lease_duration_s": 4, "status_update_s": 1.0}
        settings = {"node": NODE, "internal_ip": str(node_ip), "api_url": api_url, "kube_proxy": proxy, "kubelet": kubelet}
        node = stack.enter_context(
            started(
                client,
                "node",
                network=network,
                files=authority,
                config=_config(NODE, "agent", "nodeagent", {**shared, **settings}),
                cap_add=NODE_CAPABILITIES,
                sysctls=NODE_SYSCTLS,
                security_opt=("apparmor=unconfined",),
            )
        )
        assert node.address == str(node_ip)
        node.wait_event("rules-committed")
        yield ClusterLab(controlplane, node, str(node_ip), api)


def wait_ready(api: httpx.Client, *, deadline_s: float = 30.0) -> None:
    """Until the API answers: then all objects of the configuration are there."""
    end_s = time.monotonic() + deadline_s
    while True:
        with suppress(httpx.TransportError):
            if api.get("/readyz").is_success:
                return
        if time.monotonic() > end_s:
            pytest.fail(f"the API did not answer within {deadline_s:g} s")
        time.sleep(0.02)


def _config(container: str, process: str, module: str, settings: Mapping[str, Any]) -> str:
    processes = [{"name": process, "argv": ["python3", "-m", module], "restart": True}]
    return render_config(container=container, expires_in_s=300, processes=processes, settings=settings)


def service(name: str, **spec: Any) -> dict[str, Any]:
    """Without a selector: its endpoints are the test's to make."""
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": ports, **spec}}


def endpoint(ip: str, *, node: str = NODE, **conditions: bool) -> dict[str, Any]:
    return {"addresses": [ip], "nodeName": node, "conditions": conditions or {"ready": True}}


def endpoint_slice(name: str, *endpoints: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-x", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": list(endpoints),
    }
