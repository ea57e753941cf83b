"""Applies transactions to the kernel through libnftables, in process: a fork would cost more than the commit."""

from __future__ import annotations

from typing import Any


class NftablesError(Exception):
    """The kernel or the library refused a transaction; nothing of it took hold."""


class Nftables:
    """One libnftables context (libnftables(3)); a transaction is atomic."""

    def __init__(self) -> None:
        import nftables  # Debian's python3-nftables: only inside the image

        self._library: Any = nftables.Nftables()

    def apply(self, transaction: str) -> None:
        """Raises NftablesError with the library's words."""
        status, _, error = self._library.cmd(transaction)
        if status != 0:
            raise NftablesError(str(error).strip().splitlines()[0] if error else f"status {status}")
