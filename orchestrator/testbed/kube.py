"""The control plane's Kubernetes API from outside: the published port on 127.0.0.1, TLS verified against the run's CA."""

import ssl
from collections.abc import Mapping
from typing import cast

import httpx

from orchestrator.errors import InternalError
from orchestrator.model.kubernetes import BY_PLURAL, KINDS

TIMEOUT_S = 10.0
Manifest = Mapping[str, object]

MERGE_PATCH = "application/merge-patch+json"


class ClusterError(InternalError):
    """The Kubernetes API refused a request or did not answer; the message has its Status."""


class KubeClient:
    """Implements contracts.Kube. Thread-safe, as httpx.Client is."""

    def __init__(self, *, server: str, ca_pem: bytes, token: str, transport: httpx.BaseTransport | None = None) -> None:
        context = ssl.create_default_context(cadata=ca_pem.decode("ascii"))
        self._http = httpx.Client(
            base_url=server,
            verify=context,
            transport=transport,
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=TIMEOUT_S,
            trust_env=False,  # a proxy of the user's environment is no way to 127.0.0.1
        )

    def close(self) -> None:
        self._http.close()

    def get(self, resource: str, name: str, *, namespace: str | None = None) -> Manifest | None:
        response = self._send("GET", path_of(resource, namespace, name))
        return None if response.status_code == httpx.codes.NOT_FOUND else self._decode(response)

    def list(self, resource: str, *, namespace: str | None = None, label_selector: str | None = None) -> tuple[Manifest, ...]:
        params = {"labelSelector": label_selector} if label_selector else {}
        answer = self._decode(self._send("GET", path_of(resource, namespace), params=params))
        return tuple(cast(list[Manifest], answer["items"]))

    def apply(self, manifest: Manifest) -> Manifest:
        """Create, or merge-patch (RFC 7396) when it exists."""
        kind, metadata = str(manifest["kind"]), cast(Manifest, manifest["metadata"])
        if kind not in KINDS:
            raise ClusterError(f"cannot apply kind {kind}; allowed: {', '.join(sorted(KINDS))}")
        resource, version = KINDS[kind].plural, str(manifest["apiVersion"])
        namespace = str(metadata.get("namespace", "default")) if KINDS[kind].is_namespaced else None
        response = self._send("POST", path_of(resource, namespace, api_version=version), body=manifest)
        if response.status_code == httpx.codes.CONFLICT:
            path = path_of(resource, namespace, str(metadata["name"]), api_version=version)
            response = self._send("PATCH", path, body=manifest, content_type=MERGE_PATCH)
        return self._decode(response)

    def patch(
        self, resource: str, name: str, body: Manifest, *, namespace: str | None = None, subresource: str | None = None
    ) -> Manifest:
        path = path_of(resource, namespace, name, subresource)
        return self._decode(self._send("PATCH", path, body=body, content_type=MERGE_PATCH))

    def delete(self, resource: str, name: str, *, namespace: str | None = None, grace_period_s: int | None = None) -> None:
        params = {"gracePeriodSeconds": str(grace_period_s)} if grace_period_s is not None else {}
        response = self._send("DELETE", path_of(resource, namespace, name), params=params)
        if response.status_code != httpx.codes.NOT_FOUND:
            self._decode(response)

    def evict(self, pod: str, *, namespace: str) -> None:
        """The Eviction API; a pod that is gone already is evicted."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
        response = self._send("POST", path_of("pods", namespace, pod, "eviction"), body=body)
        if response.status_code != httpx.codes.NOT_FOUND:
            self._decode(response)

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Manifest | None = None,
        content_type: str = "application/json",
    ) -> httpx.Response:
        headers = {"Content-Type": content_type} if body is not None else {}
        try:
            return self._http.request(method, path, params=dict(params or {}), json=body, headers=headers)
        except httpx.HTTPError as error:
            raise ClusterError(f"{method} {path}: the API does not answer: {error or type(error).__name__}") from error

    def _decode(self, response: httpx.Response) -> Manifest:
        request = response.request
        try:
            answer = response.json()
        except ValueError:
            answer = {"message": response.text[:500]}
        if response.is_success and isinstance(answer, dict):
            return answer
        message = answer.get("message", response.text[:500]) if isinstance(answer, dict) else response.text[:500]
        raise ClusterError(f"{request.method} {request.url.path}: status {response.status_code}: {message}")


def path_of(
    resource: str,
    namespace: str | None,
    name: str | None = None,
    subresource: str | None = None,
    *,
    api_version: str | None = None,
) -> str:
    """Raises ClusterError for a resource that the testbed does not know."""
    if resource not in BY_PLURAL:
        raise ClusterError(f"unknown resource {resource!r}; allowed: {', '.join(sorted(BY_PLURAL))}")
    kind = BY_PLURAL[resource]
    place = f"/namespaces/{namespace}" if namespace is not None and kind.is_namespaced else ""
    return kind.place(api_version) + place + "".join(f"/{part}" for part in (resource, name, subresource) if part is not None)
