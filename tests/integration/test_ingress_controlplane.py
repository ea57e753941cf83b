"""What the load balancer's agent tells of Ingresses, against the real control plane's API over TLS."""

import json
from ipaddress import IPv4Address

import pytest

from cp_server import Server
from ingress_pki import Authority
from lbagent.api import HttpApi
from lbagent.ingress.reading import read_ingresses
from lbagent.ingress.telling import Teller
from orchestrator.testbed.kube import KubeClient
from testbed_kube.watch import open_session

pytestmark = pytest.mark.integration

ADDRESS = IPv4Address("198.18.0.3")
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "shop", "namespace": "default"},
    "spec": {"type": "NodePort", "selector": {"app": "shop"}, "ports": [{"name": "http", "port": 80}]},
}
LEGACY = {
    "apiVersion": "extensions/v1beta1",
    "kind": "Ingress",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "tls": [{"hosts": ["shop.example.org"], "secretName": "shop-tls"}],
        "rules": [
            {
                "host": "shop.example.org",
                "http": {
                    "paths": [
                        {"path": "/", "backend": {"serviceName": "shop", "servicePort": "http"}},
                        {"path": "/gone", "backend": {"serviceName": "gone", "servicePort": 80}},
                    ]
                },
            }
        ],
    },
}


async def test_status_and_events_are_written_once_and_the_legacy_form_is_read(tmp_path):
    secret = {"apiVersion": "v1", "kind": "Secret", **Authority().secret("shop-tls", "shop.example.org")}
    with Server(tmp_path) as server:
        url = f"https://127.0.0.1:{server.port}"
        kube = KubeClient(server=url, ca_pem=server.secrets.ca_pem, token=server.secrets.token)
        try:
            for item in (SERVICE, secret):
                kube.apply(item)
            # `apply` speaks of the current version only; kubectl sends the old one to its own path.
            server.kubectl("apply", "-f", "-", text=json.dumps(LEGACY))
            teller, told = Teller(ADDRESS), []
            for _ in range(2):
                services = {f"default/{item['metadata']['name']}": item for item in kube.list("services", namespace="default")}
                view = read_ingresses(kube.list("ingresses"), services, kube.list("secrets"))
                assert [item.secret for item in view.certificates] == ["default/shop-tls"]
                assert [item.service for item in view.table.targets()] == ["default/shop"]
                async with open_session(api_url=url, token=server.secrets.token, ca_file=tmp_path / "ca.crt") as session:
                    await teller.tell(view, HttpApi(session))
                ingress = kube.get("ingresses", "web", namespace="default")
                events = kube.list("events", namespace="default")
                told.append((ingress["metadata"]["resourceVersion"], [item["metadata"]["name"] for item in events]))
            assert ingress["status"]["loadBalancer"]["ingress"] == [{"ip": str(ADDRESS)}]
            (event,) = events
            assert (event["reason"], event["type"], event["involvedObject"]["name"]) == ("ServiceNotFound", "Warning", "web")
            assert "there is no Service default/gone" in event["message"]
            assert told[0] == told[1]
            assert str(ADDRESS) in server.kubectl("get", "ingress", "web")
            assert "ServiceNotFound" in server.kubectl("describe", "ingress", "web")
        finally:
            kube.close()
