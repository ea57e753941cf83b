"""The command's frame: options that all share, errors as one message each, exit codes."""

import json
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from orchestrator.errors import ExitCode, TestbedError, UsageError

app = typer.Typer(
    name="testbed",
    help="Measures how a Kubernetes ingress design holds up while nodes die and the cluster is rescaled.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

OutputOption = Annotated[str, typer.Option("-o", "--output", help="text or json")]
ScenarioArgument = Annotated[Path, typer.Argument(help="scenario file (YAML)", show_default=False)]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="override a key: load.rate=50/s")]
SeedOption = Annotated[int | None, typer.Option(min=0, max=2**63 - 1, help="seed instead of the scenario's")]
RunArgument = Annotated[str, typer.Argument(help="run directory, run id, or a scenario's name for its latest run")]
ResultsOption = Annotated[Path, typer.Option("--results", help="where run directories are")]
RESULTS = Path("results")


def _tell_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"testbed {version('ingress-testbed')}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="print the version and stop")
    ] = False,
) -> None:
    """Measures how a Kubernetes ingress design holds up while nodes die and the cluster is rescaled."""


def run_command() -> int:
    """Exit code of the command line in sys.argv; every error becomes one message and a documented exit code."""
    from orchestrator.cli import (  # the commands register themselves
        assessing,
        chaos,
        environment,
        interactive,
        planning,
        running,
        striking,
    )

    assert all((assessing, chaos, environment, interactive, planning, running, striking))
    return int(run_app())


def run_app() -> int:
    """Exit code of the command line in sys.argv."""
    try:
        return int(app(standalone_mode=False) or 0)
    except TestbedError as error:
        complain(str(error), error.hint)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001  the outermost border: anything else is our own fault and says so
        return _explain_other(error)


def _explain_other(error: Exception) -> int:
    """Click's own errors (typer carries its copy of click) are the user's; the rest is ours."""
    show = getattr(error, "format_message", None)
    if callable(show):
        if message := str(show()):  # without any words: help was shown in their place
            complain(message, "see testbed --help")
        return ExitCode.USAGE
    traceback.print_exception(error)
    complain(f"internal error: {error!r}", "this is a defect of the testbed; the trace above belongs in the report")
    return ExitCode.INTERNAL


def complain(message: str, hint: str | None) -> None:
    console = Console(stderr=True, highlight=False)
    console.print(f"testbed: {message}", style="red", markup=False, soft_wrap=True)
    if hint:
        console.print(f"  {hint}", markup=False, soft_wrap=True)


def parse_overrides(texts: list[str] | None) -> dict[str, object]:
    """`key=value` pairs; a value is YAML, as in the file. Raises UsageError."""
    overrides: dict[str, object] = {}
    for text in texts or []:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise UsageError(f"--set {text}: is not KEY=VALUE", hint="for example --set load.rate=50/s")
        try:
            overrides[key] = parse_value(value)
        except ValueError as error:
            raise UsageError(f"--set {_start_of(text)}: the value is not YAML: {error}") from None
    return overrides


def parse_value(text: str) -> object:
    """A value as a file would hold it. Raises ValueError."""
    from orchestrator.scenario.loading import parse_yaml

    try:
        documents = parse_yaml(text)
    except yaml.YAMLError as error:
        raise ValueError(getattr(error, "problem", None) or str(error)) from None
    if len(documents) > 1:
        raise ValueError("more than one document")
    return documents[0] if documents else None


def _start_of(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."


def wants_json(output: str) -> bool:
    """Raises UsageError for an unknown output."""
    if output not in ("text", "json"):
        raise UsageError(f"-o {output}: unknown output; allowed: text, json")
    return output == "json"


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, sort_keys=True, default=str) + "\n")
