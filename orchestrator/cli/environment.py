"""`testbed engine`, `images`, `doctor`: what this machine needs before a run, and preparing it."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from orchestrator.cli.entry import OutputOption, app, print_json, wants_json
from orchestrator.errors import ExitCode

if TYPE_CHECKING:
    from orchestrator.experiment import Host
    from orchestrator.testbed.images import Images

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = REPOSITORY / ".cache"
COMPOSE = REPOSITORY / "compose" / "testbed.yaml"


@contextmanager
def prepare_host(console: Console) -> Iterator["Host"]:
    """An engine that answers, the compose file and every image; what is missing is made.

    Raises EnvironmentUnmetError, EngineError, CommandError.
    """
    from orchestrator.experiment import Host
    from orchestrator.model.plan import Role
    from orchestrator.testbed.compose import load_compose
    from orchestrator.testbed.connection import ready_client
    from orchestrator.testbed.docker_engine import DockerEngine
    from orchestrator.testbed.doctor import require_features
    from orchestrator.testbed.images import build_images

    def tell(text: str) -> None:
        console.print(f"  … {text}", style="dim", markup=False)

    with closing(ready_client(tell=tell)) as client:
        images = build_images(client, repository=REPOSITORY, cache=CACHE, progress=tell)
        yield Host(
            engine=DockerEngine(client),
            compose=load_compose(COMPOSE),
            images=images,
            require_features=lambda names: require_features(client, images.tags[Role.NODE], names),
            versions=_versions(client.version(), images),
        )


def _versions(engine: Mapping[str, object], images: "Images") -> Mapping[str, str]:
    """What a run is made with: ourselves, the engine and its kernel, the sender, and every Debian package of the images."""
    from orchestrator.model.plan import Role

    return {
        "ingress-testbed": metadata.version("ingress-testbed"),
        "docker-engine": str(engine["Version"]),
        "kernel": str(engine["KernelVersion"]),
        "locust": images.python_packages[Role.CLIENT]["locust"],
        **images.packages,
    }


@contextmanager
def reach_host(tags: Mapping[str, str]) -> Iterator["Host"]:
    """An engine that answers and images that a run was brought up from; nothing is made. Raises EnvironmentUnmetError."""
    from orchestrator.experiment import Host
    from orchestrator.model.plan import Role
    from orchestrator.testbed.compose import load_compose
    from orchestrator.testbed.connection import ready_client
    from orchestrator.testbed.docker_engine import DockerEngine
    from orchestrator.testbed.doctor import require_features
    from orchestrator.testbed.images import Images

    with closing(ready_client()) as client:
        images = Images(tags={Role(role): tag for role, tag in tags.items()}, base="", packages={}, python_packages={})
        yield Host(
            engine=DockerEngine(client),
            compose=load_compose(COMPOSE),
            images=images,
            require_features=lambda names: require_features(client, images.tags[Role.NODE], names),
        )


@app.command()
def engine() -> None:
    """Find a Docker Engine, or install and start one where this machine is ours to do so."""
    from orchestrator.testbed.connection import ready_client

    console = Console(highlight=False)
    with closing(ready_client(tell=lambda text: console.print(f"  … {text}", style="dim", markup=False))) as client:
        console.print(f"the Docker Engine answers: {client.version()['Version']}, API {client.api_version}")


@app.command()
def images(output: OutputOption = "text") -> None:
    """Build the images that are missing."""
    as_json = wants_json(output)
    console = Console(highlight=False, stderr=as_json)
    with prepare_host(console) as host:
        if as_json:
            print_json({"images": host.images.tags, "packages": host.images.packages})
        else:
            for role, tag in sorted(host.images.tags.items()):
                console.print(f"{role:14} {tag}")


@app.command()
def doctor(output: OutputOption = "text") -> int:
    """What this machine and its engine have, lack, and what that costs."""
    from orchestrator.testbed.doctor import State, check_environment

    as_json = wants_json(output)
    checks = check_environment(repository=REPOSITORY)
    unmet = any(check.required and check.state is State.MISSING for check in checks)
    if as_json:
        print_json([{name: getattr(check, name) for name in ("name", "state", "found", "cost", "required")} for check in checks])
        return ExitCode.ENVIRONMENT_UNMET if unmet else ExitCode.PASS
    colour = {State.OK: "green", State.LIMITED: "yellow", State.MISSING: "red"}
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("", "what", "found", "what the lack costs"):
        table.add_column(heading)
    for check in checks:
        table.add_row(f"[{colour[check.state]}]{check.state}[/]", check.name, check.found, check.cost)
    Console(highlight=False).print(table)
    return ExitCode.ENVIRONMENT_UNMET if unmet else ExitCode.PASS
