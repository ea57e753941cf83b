"""A HAProxy in memory that answers the Runtime API in HAProxy 2.6's own words; a contract test holds both to one table."""

from __future__ import annotations

from dataclasses import dataclass, field

STATE_HEADER = (
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state "
    "bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr "
    "srv_agent_port"
)
CONNECTIONS_HEADER = (
    "# bkname/svname bkid/svid addr port - purge_delay used_cur used_max need_est unsafe_nb safe_nb idle_lim idle_cur "
    "idle_per_thr[1]"
)


@dataclass(slots=True, kw_only=True)
class FakeServer:
    """One server: maintenance 1 and drain 8 as in `srv_admin_state`."""

    address: str
    port: int
    weight: int
    admin: int = 1
    up: bool = False
    connections: int = 0
    check_port: int = 0


@dataclass(slots=True, kw_only=True)
class FakeHaproxy:
    """Servers by `backend/server`, and the lines that were asked."""

    backends: tuple[str, ...]
    servers: dict[str, FakeServer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    offered: dict[str, str] = field(default_factory=dict)
    certificates: dict[str, str] = field(default_factory=dict)
    """Those that were replaced, by their file."""
    refusing: str = ""
    """`set` or `commit`: which of the two it refuses a certificate at."""

    async def ask(self, line: str) -> str:
        """Carry out each of the `;`-separated commands and join their answers."""
        self.asked.append(line)
        answers = [self._carry_out(command.split()) for command in line.split(";")]
        return "\n\n".join(answer for answer in answers if answer).strip()

    def _carry_out(self, words: list[str]) -> str:
        match words:
            case ["show", "servers", "state"]:
                return "\n".join((STATE_HEADER, *map(self._render_state, self.servers)))
            case ["show", "servers", "conn"]:
                return "\n".join((CONNECTIONS_HEADER, *map(self._render_connections, self.servers)))
            case ["set", "ssl", "cert", path, "<<", *_] if self.refusing == "set":
                return f"unable to load certificate from file '{path}'.\nCan't load the payload"
            case ["commit", "ssl", "cert", path] if self.refusing == "commit":
                return f"Committing {path}\nFailed!"
            case ["abort", "ssl", "cert", path]:
                known = self.offered.pop(path, None) is not None
                return f"Transaction aborted for certificate '{path}'!" if known else "No ongoing transaction!"
            case ["set", "ssl", "cert", path, "<<", *payload]:
                self.offered[path] = " ".join(payload)
                return f"Transaction created for certificate {path}!"
            case ["commit", "ssl", "cert", path]:
                self.certificates[path] = self.offered.pop(path)
                return f"Committing {path}.\nSuccess!"
            case ["add", "server", key, address, *options]:
                return self._add(key, address, options)
            case ["shutdown", "frontend", frontend]:
                return self._shut_down(frontend)
            case [("enable" | "set" | "shutdown" | "del"), *_] if self._named(words) not in self.servers:
                return "No such server."
            case ["enable", "health", _]:
                return ""
            case ["enable", "agent", _]:
                return ""
            case ["set", "server", key, *change]:
                return self._set(self.servers[key], change)
            case ["shutdown", "sessions", "server", key]:
                self.servers[key].connections = 0
                return ""
            case ["del", "server", key]:
                return self._delete(key)
        raise AssertionError(f"this fake does not know {words}")

    @staticmethod
    def _named(words: list[str]) -> str:
        return next(word for word in words if "/" in word)

    def _add(self, key: str, address: str, options: list[str]) -> str:
        if key.split("/")[0] not in self.backends:
            return "No such backend."
        if key in self.servers:
            return "Already exists a server with the same name in backend."
        host, port = address.split(":")
        weight = int(options[options.index("weight") + 1]) if "weight" in options else 1
        check_port = int(options[options.index("port") + 1]) if "port" in options else 0
        self.servers[key] = FakeServer(address=host, port=int(port), weight=weight, check_port=check_port)
        return "New server registered."

    def _set(self, server: FakeServer, change: list[str]) -> str:
        match change:
            case ["state", "ready"]:
                # Leaving maintenance means up; leaving a drain changes nothing about health.
                server.up = server.up or bool(server.admin & 1)
                server.admin = 0
            case ["state", "drain"]:
                server.admin = 8
            case ["state", "maint"]:
                server.admin, server.up = 1, False
            case ["health", "down"]:
                server.up = False
            case ["weight", weight]:
                server.weight = int(weight)
            case ["check-port", number]:
                server.check_port = int(number)
            case ["addr", address, "port", port]:
                before, server.address, server.port = (server.address, server.port), address, int(port)
                return f"IP changed from '{before[0]}' to '{address}', port changed from '{before[1]}' to '{port}'"
        return ""

    def _shut_down(self, frontend: str) -> str:
        if frontend not in self.backends:
            return "No such frontend."
        if frontend in self.closed:
            return "Frontend was already shut down."
        self.closed.append(frontend)
        return ""

    def _delete(self, key: str) -> str:
        server = self.servers[key]
        if not server.admin & 1:
            return "Only servers in maintenance mode can be deleted."
        if server.connections:
            return "Server still has connections attached to it, cannot remove it."
        del self.servers[key]
        return "Server deleted."

    def _render_state(self, key: str) -> str:
        server = self.servers[key]
        backend, name = key.split("/")
        state = 2 if server.up else 0
        return (
            f"3 {backend} 1 {name} {server.address} {state} {server.admin} {server.weight} {server.weight} 0 1 0 0 6 0 0 0 - "
            f"{server.port} - 0 {server.check_port} - - 0"
        )

    def _render_connections(self, key: str) -> str:
        server = self.servers[key]
        return f"{key} 3/1 {server.address} {server.port} - 0 {server.connections} 0 0 0 0 0 0 0"
