"""The Kubernetes API as a node uses it: create, patch, delete, over the session that the watches share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

REQUEST_TIMEOUT_S = 5.0
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
NODES = "/api/v1/nodes"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"

Object = Mapping[str, Any]


class ApiError(Exception):
    """The API answered with a failure; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"HTTP {status}: {message}")
        self.status = status


class Api:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def get(self, path: str) -> Object:
        return await self._ask("GET", path, None, "application/json")

    async def create(self, path: str, body: Object) -> Object:
        return await self._ask("POST", path, body, "application/json")

    async def patch(self, path: str, body: Object) -> Object:
        return await self._ask("PATCH", path, body, MERGE_PATCH)

    async def patch_strategic(self, path: str, body: Object) -> Object:
        """Lists that have a merge key are merged by it: conditions of others stay."""
        return await self._ask("PATCH", path, body, STRATEGIC_PATCH)

    async def delete_now(self, path: str, uid: str) -> None:
        """Without grace, and only the object of this uid. Gone already is fine."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
        try:
            await self._ask("DELETE", path, body, "application/json")
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    async def _ask(self, method: str, path: str, body: Object | None, content_type: str) -> Object:
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        headers = {"Content-Type": content_type}
        async with self._session.request(method, path, json=body, headers=headers, timeout=timeout) as response:
            answer = await response.json(content_type=None)
            if response.status >= 400:
                raise ApiError(response.status, str(answer.get("message")) if isinstance(answer, dict) else str(answer))
            return answer  # type: ignore[no-any-return]


def pod_path(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods/{name}"
