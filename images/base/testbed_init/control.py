"""Requests on the control socket: decoded strictly, answered with one JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed_init.arming import Armoury
from testbed_init.faults import FaultError
from testbed_init.kernel import signal_number
from testbed_init.processes import Supervisor, UnknownProcessError

KEYS: Mapping[str, tuple[set[str], set[str]]] = {
    "status": (set(), set()),
    "arm": ({"id", "fault", "at_mono_ns", "ttl_s"}, {"parameters"}),
    "heal": ({"id"}, set()),
    "signal": ({"process", "signal"}, set()),
    "start": ({"process"}, set()),
    "stop": ({"process"}, set()),
}
"""Of each operation: required and optional keys."""


class RequestError(ValueError):
    """The request is not one of the contract's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Carries requests out."""

    supervisor: Supervisor
    armoury: Armoury
    run_dir: Path

    def answer(self, line: bytes) -> bytes:
        """The answer line to a request line; errors are answers too."""
        try:
            result: Mapping[str, object] = {"ok": True, **self._carry_out(line)}
        except (RequestError, FaultError, UnknownProcessError, OSError, ValueError) as error:
            result = {"ok": False, "error": str(error)}
        return json.dumps(result, separators=(",", ":")).encode() + b"\n"

    def _carry_out(self, line: bytes) -> Mapping[str, object]:
        request = decode_request(line)
        match request["op"]:
            case "status":
                return {"processes": self.supervisor.status(), "faults": self._faults()}
            case "arm":
                return self._arm(request)
            case "heal":
                return {"state": self.armoury.heal(text_of(request, "id"))}
            case "signal":
                return self._signal(text_of(request, "process"), signal_number(text_of(request, "signal")))
            case "start":
                self.supervisor.start(text_of(request, "process"))
            case "stop":
                self.supervisor.stop(text_of(request, "process"))
        return {}

    def _faults(self) -> list[dict[str, object]]:
        return [
            {"id": armed.id, "fault": armed.name, "state": armed.state.value, "at_mono_ns": armed.at_mono_ns}
            for armed in self.armoury.faults.values()
        ]

    def _arm(self, request: Mapping[str, object]) -> Mapping[str, object]:
        at_mono_ns, ttl_s, parameters = request["at_mono_ns"], request["ttl_s"], request.get("parameters", {})
        if not isinstance(at_mono_ns, int) or isinstance(at_mono_ns, bool):
            raise RequestError(f"arm: at_mono_ns must be an integer, got {at_mono_ns!r}")
        if not isinstance(ttl_s, int | float) or isinstance(ttl_s, bool) or not ttl_s > 0:
            raise RequestError(f"arm: ttl_s must be a number above 0, got {ttl_s!r}")
        if not isinstance(parameters, dict):
            raise RequestError(f"arm: parameters must be an object, got {parameters!r}")
        armed = self.armoury.arm(
            id=text_of(request, "id"),
            fault=text_of(request, "fault"),
            at_mono_ns=at_mono_ns,
            ttl_s=float(ttl_s),
            parameters=parameters,
        )
        return {"state": armed.state.value}

    def _signal(self, name: str, number: int) -> Mapping[str, object]:
        """A process of init's, or one that stands for itself with a pid file (HAProxy outlives its agent)."""
        if name in self.supervisor.processes:
            return {"sent": self.supervisor.signal(name, number)}
        pid_file = self.run_dir / f"{Path(name).name}.pid"
        if not pid_file.exists():
            raise UnknownProcessError(f"no process {name!r}; this container has {list(self.supervisor.processes)}")
        pid = int(pid_file.read_text())
        if not Path(f"/proc/{pid}").exists():
            return {"sent": False}
        self.supervisor.spawner.signal(pid, number)
        return {"sent": True}


def decode_request(line: bytes) -> Mapping[str, object]:
    """Decode one request line.

    Raises:
        RequestError: not an object, an unknown operation, a missing or an unknown key.
    """
    try:
        request = json.loads(line)
    except ValueError as error:
        raise RequestError(f"not JSON: {error}") from error
    if not isinstance(request, dict):
        raise RequestError(f"must be an object, got {request!r}")
    op = request.get("op")
    if not isinstance(op, str) or op not in KEYS:
        raise RequestError(f"unknown op {op!r}; allowed: {sorted(KEYS)}")
    required, optional = KEYS[op]
    given = set(request) - {"op"}
    if missing := sorted(required - given):
        raise RequestError(f"{op}: missing {missing}")
    if unknown := sorted(given - required - optional):
        raise RequestError(f"{op}: unknown keys {unknown}; allowed: {sorted(required | optional)}")
    return request


def text_of(request: Mapping[str, object], key: str) -> str:
    """A string of the request.

    Raises:
        RequestError: it is none, or empty.
    """
    value = request[key]
    if not isinstance(value, str) or not value:
        raise RequestError(f"{request['op']}: {key} must be a non-empty string, got {value!r}")
    return value
