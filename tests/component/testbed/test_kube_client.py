"""The Kubernetes API from outside: requests, errors, TLS."""

import datetime
import json
import ssl
from collections.abc import Callable
from ipaddress import IPv4Address

import httpx
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from orchestrator.render.kubeconfig import render_kubeconfig
from orchestrator.testbed.kube import ClusterError, KubeClient, path_of
from orchestrator.testbed.pki import Secrets, make_secrets

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def secrets() -> Secrets:
    addresses = [IPv4Address("127.0.0.1"), IPv4Address("10.100.0.250")]
    return make_secrets(addresses=addresses, now=NOW, lifetime=datetime.timedelta(hours=1))


def client(secrets: Secrets, answer: Callable[[httpx.Request], httpx.Response]) -> KubeClient:
    return KubeClient(
        server="https://127.0.0.1:1", ca_pem=secrets.ca_pem, token=secrets.token, transport=httpx.MockTransport(answer)
    )


SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"type": "NodePort"}}


def test_an_object_that_is_not_there_is_created_in_its_namespace(secrets: Secrets) -> None:
    seen: list[tuple[str, str, object]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((request.method, request.url.path, json.loads(request.content)))
        assert request.headers["authorization"] == f"Bearer {secrets.token}"
        return httpx.Response(201, json=SERVICE)

    client(secrets, answer).apply(SERVICE)
    assert seen == [("POST", "/api/v1/namespaces/default/services", SERVICE)]


def test_an_object_that_is_there_is_merge_patched(secrets: Secrets) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(409, json={"message": "already exists"})
        assert request.headers["content-type"] == "application/merge-patch+json"
        return httpx.Response(200, json={"patched": request.url.path})

    assert client(secrets, answer).apply(SERVICE) == {"patched": "/api/v1/namespaces/default/services/s"}


def test_a_refusal_carries_the_status_and_the_apis_own_words(secrets: Secrets) -> None:
    message = 'The Service "s" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated'
    kube = client(secrets, lambda request: httpx.Response(422, json={"message": message}))
    with pytest.raises(ClusterError, match=r"POST /api/v1/namespaces/default/services: status 422: The Service \"s\" is invalid"):
        kube.apply(SERVICE)


def test_an_api_that_does_not_answer_is_a_cluster_error(secrets: Secrets) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused")

    with pytest.raises(ClusterError, match="the API does not answer: Connection refused"):
        client(secrets, answer).list("nodes")


def test_what_is_gone_already_counts_as_deleted_and_evicted(secrets: Secrets) -> None:
    kube = client(secrets, lambda request: httpx.Response(404, json={"message": "not found"}))
    kube.delete("nodes", "node-5")
    kube.evict("p", namespace="default")
    assert kube.get("nodes", "node-5") is None


def test_a_kind_that_the_testbed_does_not_know_is_refused_before_it_is_sent(secrets: Secrets) -> None:
    kube = client(secrets, lambda request: pytest.fail("sent"))
    with pytest.raises(ClusterError, match="cannot apply kind CronJob; allowed: ConfigMap, "):
        kube.apply({"kind": "CronJob", "metadata": {"name": "x"}})


@pytest.mark.parametrize(
    ("resource", "namespace", "name", "subresource", "path"),
    [
        ("nodes", None, "node-1", None, "/api/v1/nodes/node-1"),
        ("nodes", "default", "node-1", "status", "/api/v1/nodes/node-1/status"),
        ("pods", None, None, None, "/api/v1/pods"),
        ("pods", "a", "p", "eviction", "/api/v1/namespaces/a/pods/p/eviction"),
        ("deployments", "a", "d", "scale", "/apis/apps/v1/namespaces/a/deployments/d/scale"),
        ("endpointslices", "a", None, None, "/apis/discovery.k8s.io/v1/namespaces/a/endpointslices"),
    ],
)
def test_paths_are_those_of_kubernetes(
    resource: str, namespace: str | None, name: str | None, subresource: str | None, path: str
) -> None:
    assert path_of(resource, namespace, name, subresource) == path


def test_the_server_certificate_is_signed_by_the_runs_ca_for_its_addresses(secrets: Secrets) -> None:
    ca, server = x509.load_pem_x509_certificate(secrets.ca_pem), x509.load_pem_x509_certificate(secrets.server_pem)
    server.verify_directly_issued_by(ca)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.IPAddress)) == {IPv4Address("127.0.0.1"), IPv4Address("10.100.0.250")}
    assert isinstance(server.public_key(), ec.EllipticCurvePublicKey)
    assert server.not_valid_before_utc < NOW < server.not_valid_after_utc
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def test_openssl_accepts_the_chain(secrets: Secrets, tmp_path: object) -> None:
    context = ssl.create_default_context(cadata=secrets.ca_pem.decode())
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_two_runs_share_no_secret(secrets: Secrets) -> None:
    other = make_secrets(addresses=[IPv4Address("127.0.0.1")], now=NOW, lifetime=datetime.timedelta(hours=1))
    assert other.token != secrets.token
    assert other.server_key_pem != secrets.server_key_pem


def test_the_kubeconfig_names_one_cluster_and_uses_it(secrets: Secrets) -> None:
    config = yaml.safe_load(render_kubeconfig(run_id="r1", server="https://127.0.0.1:32768", ca_pem=b"PEM", token="t"))
    assert config["current-context"] == "ingress-testbed-r1"
    assert config["contexts"] == [
        {"name": "ingress-testbed-r1", "context": {"cluster": "ingress-testbed-r1", "user": "ingress-testbed-r1"}}
    ]
    assert config["clusters"][0]["cluster"] == {"server": "https://127.0.0.1:32768", "certificate-authority-data": "UEVN"}
    assert config["users"] == [{"name": "ingress-testbed-r1", "user": {"token": "t"}}]
