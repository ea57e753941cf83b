"""Two bands of a range: automatic picks leave the lower one to those who choose for themselves, as long as they can.

Source: KEP-3070 (cluster IPs), KEP-3668 (node ports).
"""

from __future__ import annotations

from collections.abc import Callable, Container

Draw = Callable[[int], int]
"""A number from 0 to the argument - 1."""


class FullError(Exception):
    """Nothing is left."""

    def __init__(self) -> None:
        super().__init__("range is full")


def node_port_band(size: int) -> int:
    """How many of the first node ports are left to explicit choice."""
    return min(max(16, size // 32), 128)


def cluster_ip_band(size: int) -> int:
    """How many of the first addresses of a network of `size` are left to explicit choice."""
    return min(max(16, size // 16), 256)


def pick(size: int, band: int, used: Container[int], draw: Draw) -> int:
    """A free offset from 0 to size - 1: from a drawn start in the upper band, then in the lower.

    Raises:
        FullError: all are used.
    """
    for first, count in ((band, size - band), (0, min(band, size))):
        if count <= 0:
            continue
        start = draw(count)
        for step in range(count):
            offset = first + (start + step) % count
            if offset not in used:
                return offset
    raise FullError
