"""`testbed chaos`: every fault of an experiment against every path, several times, in one report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from orchestrator.cli.entry import RESULTS, OutputOption, ResultsOption, SeedOption, app, print_json, wants_json
from orchestrator.errors import ExitCode

if TYPE_CHECKING:
    from orchestrator.chaos import ChaosRequest


def _tell_matrix(request: "ChaosRequest", console: Console, *, as_json: bool) -> None:
    """Every run that there would be: what it strikes, and when."""
    runs: list[dict[str, object]] = []
    for cell in request.cells:
        timeline = request.load(cell).plan(trial=cell.trial).timeline
        targets = tuple(dict.fromkeys(name for step in timeline for name in step.targets))
        runs.append({"fault": cell.fault, "trial": cell.trial, "targets": targets, "at_s": timeline[0].at_s})
        if not as_json:
            told = f"{cell.fault}, trial {cell.trial}: {', '.join(targets) or '-'} at {timeline[0].at_s:g} s"
            console.print(told, markup=False, soft_wrap=True)
    load_s, needs = sum(cell.scenario.duration for cell in request.cells), request.kernel_features
    if as_json:
        print_json({"chaos": request.chaos.name, "runs": runs, "load_s": load_s, "kernel_features": list(needs)})
        return
    console.print(f"{len(request.cells)} runs with {load_s / 60:.0f} minutes of load in all", soft_wrap=True)
    console.print(f"needs of the kernel: {', '.join(needs) or 'nothing more'}", soft_wrap=True)


@app.command()
def chaos(
    experiment: Annotated[Path, typer.Argument(help="chaos experiment (YAML)", show_default=False)],
    results: ResultsOption = RESULTS,
    seed: SeedOption = None,
    trials: Annotated[int | None, typer.Option("--trials", min=1, max=100, help="of every fault, instead of the file's")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the matrix and stop")] = False,
    output: OutputOption = "text",
) -> int:
    """Run a chaos experiment: its matrix of faults and trials, and one report over all."""
    as_json = wants_json(output)
    from orchestrator.chaos import Finished, assess_matrix, load_chaos_request, run_matrix, save_matrix

    request = load_chaos_request(experiment, seed=seed, trials=trials)
    console = Console(highlight=False, stderr=as_json)
    if dry_run:
        _tell_matrix(request, console, as_json=as_json)
        return ExitCode.PASS
    from orchestrator.cli.environment import prepare_host
    from orchestrator.cli.progress import RunDisplay

    done: list[Finished] = []

    def tell(finished: Finished) -> None:
        done.append(finished)
        state = f"not measured: {finished.problem}" if finished.problem else "valid"
        console.print(
            f"{len(done)}/{len(request.cells)}  {finished.cell.fault}, trial {finished.cell.trial}: {state}", markup=False
        )

    try:
        with prepare_host(console) as host:
            run_matrix(request, host, results=results, observe=lambda cell: RunDisplay(console, quiet=True), told=tell)
    finally:
        # Also when it was interrupted: what has been measured stays.
        if done:
            root = results / "chaos" / request.chaos.name
            report = save_matrix(assess_matrix(request, done, root=root), root)
            typer.echo((root / ("matrix.json" if as_json else "summary.md")).read_text(encoding="utf-8"))
            console.print(f"report: {report}", soft_wrap=True)
    return ExitCode.PASS if all(item.outcome is not None and not item.problem for item in done) else ExitCode.INVALID
