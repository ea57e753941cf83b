"""`testbed chaos`: every fault of an experiment against every path, several times, in one report."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from orchestrator.cli.entry import RESULTS, OutputOption, ResultsOption, SeedOption, app, wants_json
from orchestrator.errors import ExitCode


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
        for cell in request.cells:
            (step, *others) = request.load(cell).plan(trial=cell.trial).timeline
            struck = ", ".join(name for item in (step, *others) for name in item.targets)
            console.print(f"{cell.fault}, trial {cell.trial}: {struck or '-'} at {step.at_s:g} s", markup=False)
        return ExitCode.PASS
    from orchestrator.cli.environment import prepare_host
    from orchestrator.cli.progress import RunDisplay

    done: list[Finished] = []

    def tell(finished: Finished) -> None:
        done.append(finished)
        state = finished.problem or (str(finished.outcome.verdict) if finished.outcome is not None else "error")
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
