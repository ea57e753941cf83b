"""Runs inside the load balancer's container: HTTP servers on loopback, and a client of its ingress.

`serve ADDRESS...`: each listens on port 8080 and says who it is and what it was told.
`ask FILE`: sends each request of the JSON list in FILE (`scheme`, `port`, `host`, `path`, and `h2` for HTTP/2) to 127.0.0.1 and
prints a JSON list of what came back: `status`, `body`, `certificate` (common name), or `refused` for a handshake without success.
"""

import asyncio
import json
import pathlib
import socket
import ssl
import struct
import sys

CA = "/lab/ca.crt"
TIMEOUT_S = 5


async def answer(reader, writer):
    try:
        while line := await reader.readline():
            headers = {}
            while header := (await reader.readline()).strip():
                name, _, value = header.decode().partition(": ")
                headers.setdefault(name.lower(), []).append(value)
            address = writer.get_extra_info("sockname")[0]
            body = json.dumps({"server": address, "request": line.decode().strip(), "headers": headers}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    writer.close()


async def serve(addresses):
    servers = [await asyncio.start_server(answer, address, 8080) for address in addresses]
    await asyncio.gather(*(server.serve_forever() for server in servers))


def ask(request):
    host = request["host"]
    with socket.create_connection(("127.0.0.1", request["port"]), timeout=TIMEOUT_S) as plain:
        if request["scheme"] == "http":
            return exchange(plain, host, request["path"])
        context = ssl.create_default_context(cafile=CA)
        context.check_hostname = False  # which certificate is shown is what the test is about
        if request.get("h2"):
            context.set_alpn_protocols(["h2"])
        try:
            stream = context.wrap_socket(plain, server_hostname=host.partition(":")[0] or None)
        except ssl.SSLError as error:
            return {"refused": error.reason}
        with stream:
            subject = dict(pair for part in stream.getpeercert()["subject"] for pair in part)
            certificate = {"certificate": subject["commonName"], "alpn": stream.selected_alpn_protocol()}
            return certificate | (exchange_h2 if request.get("h2") else exchange)(stream, host, request["path"])


def exchange(stream, host, path):
    head = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close", "X-Forwarded-For: 203.0.113.9"]
    stream.sendall("\r\n".join([*head, "", ""]).encode())
    received = b""
    while part := stream.recv(65536):
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    return {"status": int(head.split()[1]), "body": body.decode()}


def exchange_h2(stream, host, path):
    """One request by RFC 9113, its header fields as literals without indexing (RFC 7541 section 6.2.2)."""
    indexed = bytes([0x82, 0x87])  # :method GET, :scheme https
    literals = b"".join(bytes([name, len(value)]) + value.encode() for name, value in ((4, path), (1, host)))
    stream.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 0x5, 1, indexed + literals))
    body = b""
    while True:
        length, kind, flags, number = read_frame_head(stream)
        content = read_exactly(stream, length)
        if kind == 0:
            body += content
        if kind == 4 and not flags & 1:
            stream.sendall(frame(4, 1, 0, b""))
        if number == 1 and flags & 1:
            return {"status": 200, "body": body.decode()}


def frame(kind, flags, number, content):
    return struct.pack("!I", len(content))[1:] + struct.pack("!BBI", kind, flags, number) + content


def read_frame_head(stream):
    head = read_exactly(stream, 9)
    return int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:], "big")


def read_exactly(stream, size):
    content = b""
    while len(content) < size:
        part = stream.recv(size - len(content))
        if not part:
            raise ConnectionError("end of stream within a frame")
        content += part
    return content


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", *addresses]:
            asyncio.run(serve(addresses))
        case ["ask", file]:
            requests = json.loads(pathlib.Path(file).read_text())
            sys.stdout.write(json.dumps([ask(request) for request in requests]))
