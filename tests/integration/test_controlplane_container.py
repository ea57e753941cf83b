"""The control plane's image with the capabilities it will have: API and responder answer, and a killed container comes back."""

import datetime
import json
from ipaddress import IPv4Address

import docker
import pytest

from orchestrator.testbed.pki import Secrets, make_secrets
from role_container import RoleContainer, render_config, started

pytestmark = pytest.mark.integration

ASK = """
import json, ssl, sys, time, urllib.request
context = ssl.create_default_context(cafile="/etc/testbed/pki/ca.crt")
url, token, method, body = sys.argv[1:5]
headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
request = urllib.request.Request(url, method=method, headers=headers, data=body.encode() or None)
until = time.monotonic() + 10
while True:
    try:
        print(urllib.request.urlopen(request, context=context if url.startswith("https") else None).read().decode(), end="")
        break
    except ConnectionRefusedError:
        raise
    except urllib.error.URLError as error:
        if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() > until:
            raise
        time.sleep(0.05)
"""
CONFIG_MAPS = "https://127.0.0.1:6443/api/v1/namespaces/default/configmaps"


def make_config(secrets: Secrets) -> str:
    return render_config(
        container="controlplane",
        processes=[
            {"name": "api", "argv": ["python3", "-m", "controlplane"], "restart": True},
            {"name": "responder", "argv": ["python3", "-m", "controlplane.responder"], "restart": True},
        ],
        settings={
            "bind": "0.0.0.0:6443",
            "token": secrets.token,
            "cluster_cidr": "10.0.0.0/16",
            "service_cidr": "10.3.240.0/20",
            "control_responder_port": 8090,
        },
    )


def ask(container: RoleContainer, secrets: Secrets, url: str, method: str = "GET", body: str = "") -> str:
    return container.run("python3", "-c", ASK, url, secrets.token, method, body)


def test_api_and_responder_answer_and_a_killed_container_comes_back_with_its_objects() -> None:
    client = docker.from_env()
    now = datetime.datetime.now(datetime.UTC)
    secrets = make_secrets(addresses=[IPv4Address("127.0.0.1")], now=now, lifetime=datetime.timedelta(hours=1))
    files = {
        "/etc/testbed/pki/ca.crt": secrets.ca_pem,
        "/etc/testbed/pki/server.crt": secrets.server_pem,
        "/etc/testbed/pki/server.key": secrets.server_key_pem,
    }
    with started(client, "controlplane", config=make_config(secrets), files=files) as container:
        assert ask(container, secrets, "http://127.0.0.1:8090/") == "ok\n"
        item = json.dumps({"metadata": {"name": "a"}, "data": {"x": "y"}})
        created = json.loads(ask(container, secrets, CONFIG_MAPS, "POST", item))
        container.container.kill()
        container.container.start()
        assert json.loads(ask(container, secrets, f"{CONFIG_MAPS}/a")) == created
        assert ask(container, secrets, "http://127.0.0.1:8090/") == "ok\n"
        assert not container.events("process-exited")
