"""A chaos experiment as one page and as Markdown: faults down, paths across, what each lost and for how long. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.model.chaos import ChaosMatrix, ChaosResult, ChaosRun
from orchestrator.model.trials import Estimate
from orchestrator.report.numbers import NOTHING

TEMPLATE = "chaos.html.j2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fault and its results, one for each path."""

    fault: str
    targets: str
    cells: tuple[ChaosResult, ...]


def rows_of(matrix: ChaosMatrix) -> tuple[Row, ...]:
    rows = []
    for number in dict.fromkeys(item.number for item in matrix.results):
        cells = tuple(item for item in matrix.results if item.number == number)
        targets = {name for run in matrix.runs if run.number == number for name in run.targets}
        rows.append(Row(fault=cells[0].fault, targets=", ".join(sorted(targets)), cells=cells))
    return tuple(rows)


def paths_of(matrix: ChaosMatrix) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item.path for item in matrix.results))


def invalid_runs(matrix: ChaosMatrix) -> tuple[ChaosRun, ...]:
    return tuple(run for run in matrix.runs if run.problem)


def describe_numbers(matrix: ChaosMatrix) -> str:
    return (
        f"One run each, seed {matrix.seed}." if matrix.trials == 1 else f"Medians of {matrix.trials} trials, seed {matrix.seed}."
    )


def describe_missing(matrix: ChaosMatrix) -> str:
    """Empty when every run was made."""
    done = len(matrix.runs)
    return f"Interrupted: {done} of {matrix.planned} runs were made." if done < matrix.planned else ""


def write_result(result: ChaosResult, *, trials: int = 1) -> tuple[str, str]:
    """What was lost, and how long it lasted. `trials`: how many there were to be; fewer that are valid are told."""
    lost, lasted = _write_whole(result)
    if 0 < result.valid_trials < trials:
        return lost, f"{lasted}{'; ' if lasted else ''}{result.valid_trials} of {trials} trials"
    return lost, lasted


def _write_whole(result: ChaosResult) -> tuple[str, str]:
    if not result.valid_trials:
        return "not measured", ""
    if result.is_negative_control:
        return ("refused always", "") if result.lost.median == 0 else (f"{_count(result.lost)} not refused", "")
    if result.lost.median == 0 and not result.convergence.unbounded:
        return "nothing", ""
    if result.convergence.median is None:
        return f"{_count(result.lost)} lost", ""
    bound = "" if result.bound_s is None else f" (bound {result.bound_s:.3g} s)"
    return f"{_count(result.lost)} lost", f"{_seconds(result.convergence)}{bound}"


def render_chaos_markdown(matrix: ChaosMatrix) -> str:
    paths = paths_of(matrix)
    lines = [f"# {matrix.name}: {matrix.question}", "", f"{matrix.method} {describe_numbers(matrix)}", ""]
    if missing := describe_missing(matrix):
        lines += [f"**{missing}**", ""]
    lines += [_line(["fault", "struck", *paths]), _line(["---"] * (len(paths) + 2))]
    lines += [
        _line([row.fault, row.targets, *(" ".join(filter(None, write_result(cell, trials=matrix.trials))) for cell in row.cells)])
        for row in rows_of(matrix)
    ]
    if broken := invalid_runs(matrix):
        lines += ["", "Not measured:", ""]
        lines += [f"- {run.fault}, trial {run.trial} ({run.run_id or 'no run'}): {run.problem}" for run in broken]
    return "\n".join(lines) + "\n"


def render_chaos_html(matrix: ChaosMatrix) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["write_result"] = write_result
    template = environment.get_template(TEMPLATE)
    return template.render(
        matrix=matrix,
        rows=rows_of(matrix),
        paths=paths_of(matrix),
        broken=invalid_runs(matrix),
        numbers=describe_numbers(matrix),
        missing=describe_missing(matrix),
    )


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _count(estimate: Estimate) -> str:
    return NOTHING if estimate.median is None else f"{estimate.median:,.0f}{_interval(estimate, ',.0f')}"


def _seconds(estimate: Estimate) -> str:
    if estimate.median is None:
        return NOTHING
    if estimate.unbounded == estimate.count:
        return "not converged"
    if estimate.unbounded:
        return f"not converged in {estimate.unbounded} of {estimate.count}"
    return f"{estimate.median:.2f} s{_interval(estimate, '.2f')}"


def _interval(estimate: Estimate, form: str) -> str:
    """Empty where there are too few trials for one."""
    return "" if estimate.low is None or estimate.high is None else f" [{estimate.low:{form}}, {estimate.high:{form}}]"
