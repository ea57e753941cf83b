"""What the agent writes to the Kubernetes API: small patches and events, over the session that the watches share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import aiohttp

REQUEST_TIMEOUT_S = 5.0


class ApiError(Exception):
    """The API refused what was written, or did not answer."""


class Api(Protocol):
    """What the agent needs of it."""

    async def patch(self, path: str, body: Mapping[str, Any]) -> None:
        """Merge `body` into the object (RFC 7396); one that is gone is fine. Raises ApiError."""

    async def create(self, path: str, body: Mapping[str, Any]) -> None:
        """Create the object in the collection; one that is there already is fine. Raises ApiError."""


class HttpApi:
    """The real one."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def patch(self, path: str, body: Mapping[str, Any]) -> None:
        """See `Api`."""
        await self._send("PATCH", path, body, content_type="application/merge-patch+json", fine=404)

    async def create(self, path: str, body: Mapping[str, Any]) -> None:
        """See `Api`."""
        await self._send("POST", path, body, content_type="application/json", fine=409)

    async def _send(self, method: str, path: str, body: Mapping[str, Any], *, content_type: str, fine: int) -> None:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        headers = {"Content-Type": content_type}
        try:
            async with self._session.request(method, path, json=body, headers=headers, timeout=timeout) as response:
                if response.status >= 400 and response.status != fine:
                    raise ApiError(f"{method} {path}: HTTP {response.status}: {(await response.text())[:300]}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(f"{method} {path}: {type(error).__name__}: {error}") from error
