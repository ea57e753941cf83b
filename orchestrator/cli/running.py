"""`testbed run`, `up`, `down`, `status` and `clean`: what touches the engine."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from orchestrator.cli.entry import (
    RESULTS,
    OutputOption,
    ResultsOption,
    ScenarioArgument,
    SeedOption,
    SetOption,
    app,
    parse_overrides,
    print_json,
    wants_json,
)
from orchestrator.cli.planning import print_plan
from orchestrator.cli.progress import RunDisplay
from orchestrator.errors import ExitCode, UsageError

TrialsOption = Annotated[int | None, typer.Option("--trials", help="how many, instead of the scenario's")]
BaselineOption = Annotated[Path | None, typer.Option("--baseline", help="a trials.json: exit 3 when these trials are worse")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="print the plan and stop")]
KeepOption = Annotated[bool, typer.Option("--keep", help="leave the testbed running afterwards, until it expires")]


@app.command()
def run(
    scenario: ScenarioArgument,
    results: ResultsOption = RESULTS,
    seed: SeedOption = None,
    sets: SetOption = None,
    keep: KeepOption = False,
    dry_run: DryRunOption = False,
    trials: TrialsOption = None,
    baseline: BaselineOption = None,
    output: OutputOption = "text",
) -> int:
    """Run a scenario: bring up, load and timeline, measure, judge, report."""
    as_json = wants_json(output)
    from orchestrator.experiment import load_request, run_trial

    overrides = parse_overrides(sets) if trials is None else {**parse_overrides(sets), "trials": trials}
    loaded = load_request(scenario, overrides, seed)
    if baseline is not None:
        from orchestrator.trials import read_baseline

        read_baseline(baseline)  # wrong ones are refused before anything starts
    if keep and loaded.scenario.trials > 1:
        raise UsageError(f"--keep leaves one testbed running, and there are {loaded.scenario.trials} trials", hint="--trials 1")
    if dry_run:
        print_plan(loaded.plan(), as_json=as_json)
        return ExitCode.PASS
    from orchestrator.cli.environment import prepare_host

    console = Console(highlight=False, stderr=as_json)
    # One document on standard output: that of all trials, where there are several.
    is_series = loaded.scenario.trials > 1 or baseline is not None
    with prepare_host(console) as host:
        directories, statuses = [], []
        for trial in range(1, loaded.scenario.trials + 1):
            with RunDisplay(console) as display:
                directory = run_trial(loaded, host, results=results, trial=trial, observer=display, keep=keep)
            from orchestrator.cli.assessing import assess_and_report

            directories.append(directory)
            statuses.append(assess_and_report(directory, console, as_json=as_json and not is_series))
    if keep:
        console.print(
            f"the testbed is kept: KUBECONFIG={directory.path / 'kubeconfig'}; remove it with: testbed down {directory.run_id}"
        )
    if not is_series:
        return statuses[0]
    from orchestrator.cli.assessing import report_trials

    return report_trials(directories, statuses, console, baseline=baseline, as_json=as_json)


@app.command()
def up(
    scenario: ScenarioArgument,
    results: ResultsOption = RESULTS,
    seed: SeedOption = None,
    sets: SetOption = None,
    output: OutputOption = "text",
) -> None:
    """Bring a scenario's testbed up, prove its steady state and leave it running."""
    as_json = wants_json(output)
    from orchestrator.cli.environment import prepare_host
    from orchestrator.experiment import keep_testbed, load_request

    loaded = load_request(scenario, parse_overrides(sets), seed)
    console = Console(highlight=False, stderr=as_json)
    with prepare_host(console) as host, RunDisplay(console) as display:
        directory = keep_testbed(loaded, host, results=results, observer=display)
    if as_json:
        print_json(
            {"run_id": directory.run_id, "directory": str(directory.path), "kubeconfig": str(directory.path / "kubeconfig")}
        )
        return
    console.print(f"up as run {directory.run_id}")
    console.print(f"  kubectl --kubeconfig {directory.path / 'kubeconfig'} get pods -o wide")
    console.print(f"  testbed down {directory.run_id}")


@app.command()
def down(
    run: Annotated[str, typer.Argument(metavar="RUN", help="run id or directory, or a scenario's name; see testbed status")],
    results: ResultsOption = RESULTS,
    output: OutputOption = "text",
) -> None:
    """Remove one run's testbed."""
    run_id = _run_id_of(run, results)
    removed = _clean(run_id=run_id)
    if not removed:
        raise UsageError(f"no testbed of run {run_id!r} is up", hint="see testbed status")
    if wants_json(output):
        print_json({"removed": removed})
    else:
        Console(highlight=False).print(f"removed run {run_id}")


def _run_id_of(run: str, results: Path) -> str:
    """That of a run directory that there is; otherwise what was named, which may be up without one here."""
    from orchestrator.store import find_run

    try:
        return find_run(run, results).run_id
    except UsageError:
        return run


@app.command()
def status(output: OutputOption = "text") -> None:
    """The runs of which the engine still has something."""
    from orchestrator.testbed.cleaning import find_runs
    from orchestrator.testbed.connection import answering_client
    from orchestrator.testbed.docker_engine import DockerEngine

    with closing(DockerEngine(answering_client())) as engine:
        runs = find_runs(engine)
    if wants_json(output):
        print_json([{"run_id": item.run_id, "containers": item.container_names(), "networks": item.networks} for item in runs])
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("run", "containers", "networks", "guarded"):
        table.add_column(heading)
    for item in runs:
        names = ", ".join(item.container_names())
        table.add_row(item.run_id, names, str(item.networks), "yes" if item.has_warden else "no: testbed clean removes it")
    Console(highlight=False).print(table if runs else "no testbed is up")


@app.command()
def clean(
    everything: Annotated[bool, typer.Option("--all", help="also runs and tests that are in use")] = False,
    output: OutputOption = "text",
) -> None:
    """Remove what is left of runs and tests that nobody else will remove, by label."""
    as_json = wants_json(output)
    removed = _clean(everything=everything)
    if as_json:
        print_json({"removed": removed})
    else:
        Console(highlight=False).print(f"removed {', '.join(removed)}" if removed else "nothing to clean")


def _clean(*, run_id: str | None = None, everything: bool = False) -> tuple[str, ...]:
    """What was removed. Nothing is installed, started or built for it: what an engine has not, needs no removal."""
    import time

    from orchestrator.cli.environment import COMPOSE
    from orchestrator.model.plan import Role
    from orchestrator.testbed.cleaning import Scope
    from orchestrator.testbed.cleaning import clean as remove
    from orchestrator.testbed.compose import load_compose
    from orchestrator.testbed.connection import answering_client
    from orchestrator.testbed.docker_engine import DockerEngine

    compose = load_compose(COMPOSE)
    with closing(DockerEngine(answering_client())) as engine:
        cleaned = remove(
            engine,
            compose,
            warden_image=engine.newest_image(compose.services[Role.WARDEN].image),
            now_unix_s=round(time.time()),  # noqa: TID251 - expiry is a date
            run_id=run_id,
            scope=Scope.ALL if everything else Scope.DEAD,
        )
    return tuple(dict.fromkeys((*cleaned.runs, *cleaned.guards, *cleaned.tests)))
