"""`testbed-ctl '<json>'`: hand one request to init and print its answer; exit status 1 when the answer is not ok."""

from __future__ import annotations

import json
import socket
import sys

SOCKET_PATH = "/run/testbed/init.sock"
TIMEOUT_S = 5.0


def ask(request: bytes, path: str = SOCKET_PATH) -> bytes:
    """Send one request line and return the answer line.

    Raises:
        OSError: init does not answer within 5 s (TimeoutError), or there is none.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.settimeout(TIMEOUT_S)
        stream.connect(path)
        stream.sendall(request.replace(b"\n", b" ") + b"\n")
        answer = bytearray()
        while not answer.endswith(b"\n"):
            chunk = stream.recv(65536)
            if not chunk:
                raise ConnectionError(f"init closed {path} in the middle of its answer: {bytes(answer)!r}")
            answer += chunk
        return bytes(answer)


def main() -> int:
    """Entry point."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: testbed-ctl '<json>'\n")
        return 64
    try:
        answer = ask(sys.argv[1].encode())
    except OSError as error:
        sys.stderr.write(f"testbed-ctl: {SOCKET_PATH}: {error}\n")
        return 1
    sys.stdout.write(answer.decode())
    return 0 if json.loads(answer)["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
