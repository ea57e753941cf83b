"""What the agent writes to the Kubernetes API: small patches, over the session that the watches share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import aiohttp

REQUEST_TIMEOUT_S = 5.0


class ApiError(Exception):
    """The API refused a patch, or did not answer."""


class Api(Protocol):
    """What the agent needs of it."""

    async def patch(self, path: str, body: Mapping[str, Any]) -> None:
        """Merge `body` into the object (RFC 7396); one that is gone is fine. Raises ApiError."""


class HttpApi:
    """The real one."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def patch(self, path: str, body: Mapping[str, Any]) -> None:
        """See `Api`."""
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        headers = {"Content-Type": "application/merge-patch+json"}
        try:
            async with self._session.patch(path, json=body, headers=headers, timeout=timeout) as response:
                if response.status >= 400 and response.status != 404:
                    raise ApiError(f"PATCH {path}: HTTP {response.status}: {(await response.text())[:300]}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(f"PATCH {path}: {type(error).__name__}: {error}") from error
