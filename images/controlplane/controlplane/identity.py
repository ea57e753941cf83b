"""UIDs, generated names and draws from the run's identity and a count: the same requests give the same objects."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Neither vowels nor characters that look alike (apimachinery, util/rand)."""
SUFFIX_LENGTH = 5
NAME_LIMIT = 63


class Identities:
    """Numbers drawn from SHA-256 of the run and a position that no two draws of a run share."""

    def __init__(self, *, run_id: str, position: Callable[[], int]) -> None:
        """`position` is the store's resourceVersion: it survives a restart, so no draw repeats after one."""
        self._run_id = run_id
        self._position = position
        self._draws = 0

    def uid(self) -> str:
        """A UUID of version 8 (RFC 9562 section 5.8)."""
        digits = bytearray(self._digest("uid")[:16])
        digits[6] = digits[6] & 0x0F | 0x80
        digits[8] = digits[8] & 0x3F | 0x80
        text = digits.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def suffix(self) -> str:
        """What `metadata.generateName` is completed with."""
        return spell(int.from_bytes(self._digest("name"), "big"), SUFFIX_LENGTH)

    def complete(self, prefix: str) -> str:
        """A name from a `generateName`."""
        return prefix[: NAME_LIMIT - SUFFIX_LENGTH] + self.suffix()

    def draw(self, size: int) -> int:
        """A number from 0 to size - 1."""
        return int.from_bytes(self._digest("draw"), "big") % size

    def _digest(self, purpose: str) -> bytes:
        self._draws += 1
        return hashlib.sha256(f"{self._run_id}/{self._position()}/{self._draws}/{purpose}".encode()).digest()


def spell(number: int, length: int) -> str:
    """A number in the alphabet of generated names."""
    letters = []
    for _ in range(length):
        number, place = divmod(number, len(NAME_ALPHABET))
        letters.append(NAME_ALPHABET[place])
    return "".join(letters)


def hash_text(text: str) -> str:
    """A short stable hash in the alphabet of generated names, such as a pod template's."""
    return spell(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"), 10)
