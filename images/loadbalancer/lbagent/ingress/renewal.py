"""Certificates that are replaced in the running HAProxy: new handshakes get the new one, and no connection is touched.

Source: HAProxy 2.6 management manual, section 9.3: `set ssl cert`, `commit ssl cert`, `abort ssl cert`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from lbagent.runtime import RuntimeApi

COMMAND_LIMIT_BYTES = 15 * 1024
"""A command must fit into one buffer with its payload (management manual 2.6, section 9.3; `tune.bufsize`, 16 KiB, of which
`tune.maxrewrite`, 1 KiB, is kept free): of a longer one HAProxy waits for the end that it has no room for."""


async def renew_certificates(runtime: RuntimeApi, certificates: Mapping[Path, str]) -> bool:
    """Whether HAProxy has taken all of them; if not, a reload must bring them.

    Raises:
        RuntimeApiError: it does not answer.
    """
    for path, pem in certificates.items():
        if said := await _renew(runtime, path, pem):
            sys.stderr.write(f"lbagent: {path} is renewed by a reload: {said}\n")
            return False
    return True


async def _renew(runtime: RuntimeApi, path: Path, pem: str) -> str:
    """What keeps HAProxy from taking it; empty if nothing. A failed transaction is ended: left open it would bar all others."""
    command = f"set ssl cert {path} <<\n{pem}"
    if (size_bytes := len(command.encode())) > COMMAND_LIMIT_BYTES:
        return f"it has {size_bytes} bytes; a command may have {COMMAND_LIMIT_BYTES}"
    said = await runtime.ask(command)
    if "Transaction" in said:
        said = await runtime.ask(f"commit ssl cert {path}")
        if "Success" in said:
            return ""
    await runtime.ask(f"abort ssl cert {path}")
    return f"HAProxy answered {said!r}"
