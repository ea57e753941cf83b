"""Run directories: `results/<scenario>/<run id>/` and the `latest` link. Saved as a run goes: a broken one keeps what it had."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from orchestrator.errors import InternalError, UsageError
from orchestrator.model.history import History, load_history, save_history
from orchestrator.model.plan import Plan, Role

SCENARIO = "scenario.json"
"""What the run was planned from: scenario and manifests, for work on a testbed that is kept."""
IMAGES = "images.json"
PLAN, HISTORY, TOTALS, VERSIONS, NOTES = "plan.json", "history.jsonl", "totals.json", "versions.json", "notes.json"
SAMPLES = "load"
"""What the client wrote, as it was fetched."""
CONNECTIONS = Path("logs") / Role.LOADBALANCER / "haproxy-connections.jsonl"
LATEST = "latest"
_PLAN = TypeAdapter(Plan)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDirectory:
    """One run's files. Reading one that is not there raises InternalError naming it."""

    path: Path

    @property
    def run_id(self) -> str:
        return self.path.resolve().name

    def save_plan(self, plan: Plan) -> None:
        (self.path / PLAN).write_bytes(_PLAN.dump_json(plan, indent=1) + b"\n")

    def load_plan(self) -> Plan:
        try:
            return _PLAN.validate_json((self.path / PLAN).read_bytes())
        except OSError as error:
            raise InternalError(f"{self.path / PLAN}: {error.strerror}: the run never had a plan") from None
        except ValidationError as error:
            raise InternalError(f"{self.path / PLAN}: written by another version: {error.errors()[0]['msg']}") from None

    def save_history(self, history: History) -> None:
        save_history(history, self.path / HISTORY)

    def load_history(self) -> History:
        try:
            return load_history(self.path / HISTORY)
        except OSError as error:
            raise InternalError(f"{self.path / HISTORY}: {error.strerror}: the run ended before its history was saved") from None

    def load_images(self) -> Mapping[str, str]:
        """Role -> image that the run was brought up from. Raises UsageError for a run of a version that did not save it."""
        found = self.load_json(IMAGES)
        if not isinstance(found, dict):
            raise UsageError(f"{self.path} has no {IMAGES}: it was run by an older version")
        return {str(role): str(tag) for role, tag in found.items()}

    def save_json(self, name: str, value: object) -> None:
        (self.path / name).write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")

    def load_json(self, name: str) -> object:
        """None when there is no such file."""
        file = self.path / name
        try:
            return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
        except ValueError as error:
            raise InternalError(f"{file}: {error}") from None

    @property
    def versions(self) -> Mapping[str, str]:
        found = self.load_json(VERSIONS)
        return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}

    @property
    def notes(self) -> tuple[str, ...]:
        found = self.load_json(NOTES)
        return tuple(str(item) for item in found) if isinstance(found, list) else ()

    def mark_latest(self) -> None:
        """Point `latest` here, in one step: a reader never finds it missing."""
        link, fresh = self.path.parent / LATEST, self.path.parent / f".{LATEST}.{self.path.name}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(self.path.name)
        fresh.replace(link)


def create_run_directory(results: Path, scenario: str, run_id: str) -> RunDirectory:
    """Raises UsageError when the results directory cannot be written."""
    path = results / scenario / run_id
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"{path}: cannot be made: {error.strerror}", hint="choose another with --results") from None
    return RunDirectory(path=path)


def find_run(reference: str, results: Path) -> RunDirectory:
    """By directory, by run id, a scenario's latest run, or `latest`: that of all scenarios. Raises UsageError."""
    named = results.glob(f"*/{reference}")
    newest_first = sorted(named, key=lambda item: item.lstat().st_mtime, reverse=True)
    candidates = [Path(reference), results / reference / LATEST, *newest_first]
    for candidate in candidates:
        if (candidate / PLAN).is_file():
            return RunDirectory(path=candidate)
    raise UsageError(f"no run {reference!r}", hint=f"a run directory, a run id, or a scenario with runs in {results}/")
