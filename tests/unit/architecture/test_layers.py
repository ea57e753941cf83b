"""The house stays in order: imports go down only, risky modules stay in their homes, every kind is registered and documented."""

import ast
import os
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "orchestrator"

# From the top; a module imports only rows below its own. Modules of one row do not know each other.
ROWS: tuple[tuple[str, ...], ...] = (
    ("cli",),
    ("session", "tracing", "trials", "chaos"),
    ("present", "in_place"),
    ("experiment", "assessment"),
    ("registry", "testbed", "loadgen", "store"),
    ("ingress", "faults", "slo", "report"),
    ("planner", "runner", "judge"),
    ("contracts", "scenario", "addresses"),
    ("render", "metrics", "host"),
    ("model",),
    ("errors",),
)

HOMES = {
    "docker": ("testbed",),
    "subprocess": ("host",),
    "locust": (),
    "random": ("planner",),
}


def _row_of(name: str) -> int:
    for number, row in enumerate(ROWS):
        if name in row:
            return number
    raise AssertionError(f"orchestrator/{name} stands in no row of the layers: add it to ROWS and to ARCHITECTURE.md")


def _modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def _part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            found += [f"{node.module}.{alias.name}" if node.module == "orchestrator" else node.module for alias in node.names]
    return found


def test_modules_import_only_rows_below_their_own() -> None:
    wrong = []
    for path in _modules():
        part = _part(path)
        for name in _imports(path):
            pieces = name.split(".")
            ours = pieces[0] == "orchestrator" and len(pieces) > 1 and part != "__init__"
            if ours and pieces[1] != part and _row_of(pieces[1]) <= _row_of(part):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}: row {_row_of(part)} may import only rows below it")
    assert not wrong, "\n".join(wrong)


def test_risky_modules_are_imported_only_at_home() -> None:
    wrong = []
    for path in _modules():
        for name in _imports(path):
            homes = HOMES.get(name.split(".")[0])
            if homes is not None and _part(path) not in homes:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}; its homes: {homes}")
    assert not wrong, "\n".join(wrong)


def test_modules_stay_short_and_say_what_they_are_for() -> None:
    wrong = []
    for path in _modules():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > 400:
            wrong.append(f"{path.relative_to(ROOT)} has {lines} lines: split it, one module, one purpose")
        if not ast.get_docstring(_tree(path)):
            wrong.append(f"{path.relative_to(ROOT)} does not say what it is for")
    assert not wrong, "\n".join(wrong)


def test_project_speaks_only_of_itself() -> None:
    here = Path(__file__).resolve()
    suffixes = {".py", ".md", ".toml", ".yaml", ".txt", ".sh", ".html", ".json", ".j2"}
    skipped = {
        ".venv",
        ".git",
        ".cache",
        "results",
        "build",
        "node_modules",
        "__pycache__",
        ".mypy_cache",
        ".ruff_cache",
        ".hypothesis",
    }
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in skipped]
        for path in (Path(folder, name) for name in names):
            if path != here and (path.suffix in suffixes or path.name in {"Makefile", "Dockerfile", "run"}):
                text = path.read_text(encoding="utf-8", errors="replace")
                for word in ("/work/shared", "/work/main", "../shared", ".library"):
                    assert word not in text, f"{path.relative_to(ROOT)} mentions {word}"
