"""What a run shows while it runs: phases with their durations, then rate, success and errors of every path as they happen."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from orchestrator.model.history import Event

PLAIN_EVERY_S = 5.0

_STEP_WORDS = {
    "step-issued": ("issued", "yellow"),
    "step-effective": ("effective", "red"),
    "step-healed": ("healed", "green"),
    "step-done": ("done", "green"),
    "step-failed": ("FAILED", "bold red"),
}
_TOLD = {
    "server-down": "load balancer marked {server} down ({backend}): {reason}",
    "server-up": "load balancer marked {server} up ({backend})",
    "node-not-ready": "control plane marked {node} not ready",
    "node-ready": "control plane marked {node} ready",
}


@dataclass(frozen=True, slots=True)
class _Totals:
    """Cumulative counts of one path and class, and the second before."""

    sent: int = 0
    ok: int = 0
    failed: int = 0
    in_flight: int = 0


class RunDisplay:
    """Shows events as they come; call it with each. On a terminal a live table, elsewhere plain lines every few seconds."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._live: Live | None = None
        self._start_ns: int | None = None
        self._phase: tuple[str, int] | None = None
        self._now: dict[tuple[str, str], _Totals] = {}
        self._before: dict[tuple[str, str], _Totals] = {}
        self._printed_ns = 0

    def __enter__(self) -> Self:
        if not self._quiet and self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4, get_renderable=self._render, transient=True)
            self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, traceback)
            self._live = None

    def __call__(self, event: Event) -> None:
        if self._quiet:
            return
        if event.event == "phase":
            self._tell_phase(event)
        elif event.event == "load-started":
            start = event.fields.get("start_mono_ns", event.t_mono_ns)
            self._start_ns = start if isinstance(start, int) else event.t_mono_ns
        elif event.event == "load-progress":
            self._count(event)
        elif event.event in _STEP_WORDS:
            word, style = _STEP_WORDS[event.event]
            target = _plain(event.fields.get("target", ""))
            evidence = event.fields.get("evidence")
            self._tell(event, Text(f"{event.fields.get('kind', '')} {target} {word}", style), Text(f"  {evidence or ''}", "dim"))
        elif event.event in _TOLD and self._start_ns is not None:
            self._tell(event, Text(_TOLD[event.event].format_map(_Fields(event.fields)), "cyan"))

    def _tell_phase(self, event: Event) -> None:
        if self._phase is not None:
            name, began_ns = self._phase
            self._say(Text.assemble(("  ✓ ", "green"), f"{name} ", (f"{(event.t_mono_ns - began_ns) / 1e9:.2f} s", "dim")))
        name = str(event.fields.get("name", ""))
        self._phase = (name, event.t_mono_ns) if name != "end" else None

    def _tell(self, event: Event, *parts: Text) -> None:
        at_s = (event.t_mono_ns - self._start_ns) / 1e9 if self._start_ns is not None else 0.0
        self._say(Text.assemble((f"{at_s:7.2f} s  ", "dim"), *parts))

    def _say(self, line: Text) -> None:
        if self._console.is_terminal:
            line.no_wrap, line.overflow = True, "ellipsis"
        self._console.print(line, soft_wrap=not self._console.is_terminal)

    def _count(self, event: Event) -> None:
        fields = event.fields
        key = (str(fields.get("path")), str(fields.get("class")))
        self._before[key] = self._now.get(key, _Totals())
        self._now[key] = _Totals(*(_int(fields.get(name)) for name in ("sent", "ok", "failed", "in_flight")))
        if self._live is None and event.t_mono_ns - self._printed_ns > PLAIN_EVERY_S * 1e9:
            self._printed_ns = event.t_mono_ns
            counts = ", ".join(f"{path}/{name} {now.ok}/{now.sent}" for (path, name), now in sorted(self._now.items()))
            self._tell(event, Text(f"ok/sent: {counts}"))

    def _render(self) -> RenderableType:
        if not self._now:
            name = self._phase[0] if self._phase else "starting"
            return Text(f"  … {name}", "dim")
        table = Table(box=None, pad_edge=False)
        for heading in ("path", "class", "sent/s", "ok/s", "failed/s", "sent", "failed", "in flight"):
            table.add_column(heading, justify="left" if heading in ("path", "class") else "right")
        for key, now in sorted(self._now.items()):
            before = self._before[key]
            failing = now.failed - before.failed
            table.add_row(
                *key,
                str(now.sent - before.sent),
                str(now.ok - before.ok),
                Text(str(failing), "bold red" if failing else "dim"),
                str(now.sent),
                str(now.failed),
                str(now.in_flight),
            )
        return Group(Text(""), table)


class _Fields(dict[str, object]):
    """Missing fields read as a dash."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        super().__init__(fields)

    def __missing__(self, key: str) -> str:
        return "-"


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
