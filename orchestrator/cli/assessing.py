"""`testbed judge` and `report`: from a run directory alone, without Docker."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from orchestrator.cli.entry import RESULTS, OutputOption, ResultsOption, RunArgument, app, print_json, wants_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.store import RunDirectory


@app.command()
def judge(run: RunArgument = "latest", results: ResultsOption = RESULTS, output: OutputOption = "text") -> int:
    """Judge a run again; the exit code is the verdict's."""
    from orchestrator.store import find_run

    return assess_and_report(find_run(run, results), Console(highlight=False), as_json=wants_json(output), write=False)


@app.command()
def report(
    run: RunArgument = "latest",
    results: ResultsOption = RESULTS,
    quiet: Annotated[bool, typer.Option("--quiet", help="write the files and say nothing")] = False,
    output: OutputOption = "text",
) -> None:
    """Write a run's reports again."""
    from orchestrator.assessment import assess, write_reports
    from orchestrator.registry import REPORTS
    from orchestrator.store import find_run

    as_json, directory = wants_json(output), find_run(run, results)
    files = write_reports(directory, assess(directory))
    if as_json:
        print_json(
            {"run": directory.run_id, "reports": {name: str(directory.path / item.file) for name, item in REPORTS.items()}}
        )
    elif not quiet:
        for file in files:
            Console(highlight=False).print(str(file), soft_wrap=True)


def assess_and_report(directory: "RunDirectory", console: Console, *, as_json: bool, write: bool = True) -> int:
    """Print the outcome, write the files, return the exit code."""
    from orchestrator.assessment import assess, write_reports
    from orchestrator.report.outcome_json import OutcomeJson
    from orchestrator.report.terminal import render_terminal

    outcome, plan = assess(directory), directory.load_plan()
    if write:
        write_reports(directory, outcome)
    if as_json:
        sys.stdout.write(OutcomeJson().render(outcome, plan))
    else:
        console.print(render_terminal(outcome, plan))
        if write:
            console.print(f"report: {directory.path / 'report.html'}", soft_wrap=True)
    return outcome.exit_code


def report_trials(
    directories: "Sequence[RunDirectory]", statuses: "Sequence[int]", console: Console, *, baseline: "Path | None", as_json: bool
) -> int:
    """Print what the trials say together, write trials.json, return the exit code."""
    from orchestrator.metrics.trials import MINIMUM_TRIALS
    from orchestrator.report.trials import render_trials
    from orchestrator.trials import assess_series, exit_code_of, save_series

    series = assess_series(directories, baseline=baseline)
    file = save_series(series, directories[0].path.parent)
    if as_json:
        sys.stdout.write(file.read_text(encoding="utf-8"))
    else:
        console.print(render_trials(series, minimum_trials=MINIMUM_TRIALS))
        console.print(f"trials: {file}", soft_wrap=True)
    return exit_code_of(series, statuses)
