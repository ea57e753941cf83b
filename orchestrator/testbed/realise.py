"""Plan + compose file + run -> what the engine is asked for. Pure."""

import json
from collections.abc import Mapping
from ipaddress import IPv4Address

from orchestrator.errors import InternalError
from orchestrator.model.plan import ContainerPlan, NetworkName, NetworkPlan, Role
from orchestrator.planner.kube_proxy import KUBECONFIG, PROGRAM
from orchestrator.render.guard import bridge_name, render_guard
from orchestrator.render.kubeconfig import render_kubeconfig
from orchestrator.testbed.compose import ComposeFile, ComposeService
from orchestrator.testbed.engine import ContainerSpec, NetworkSpec, Ulimit
from orchestrator.testbed.pki import Secrets
from orchestrator.testbed.run import Run

CONFIG = "/etc/testbed/config.json"
CA = "/etc/testbed/pki/ca.crt"
SERVER_CERTIFICATE = "/etc/testbed/pki/server.crt"
SERVER_KEY = "/etc/testbed/pki/server.key"
API_PORT = 6443
BRIDGE_NAME_OPTION = "com.docker.network.bridge.name"
TALKS_TO_API = frozenset({Role.CONTROLPLANE, Role.NODE, Role.LOADBALANCER})
WARDEN = "warden"


def network_spec(plan: NetworkPlan, compose: ComposeFile, run: Run) -> NetworkSpec:
    settings = compose.networks[plan.name]
    return NetworkSpec(
        name=run.docker_name(plan.name),
        subnet=plan.subnet,
        router=plan.router,
        driver=settings.driver,
        driver_opts={**settings.driver_opts, BRIDGE_NAME_OPTION: bridge_name(run.run_id, plan.name)},
        labels=run.labels("network", plan.name),
    )


def container_spec(plan: ContainerPlan, compose: ComposeFile, run: Run) -> ContainerSpec:
    """Raises InternalError when the plan attaches a role to other networks than the compose file does."""
    service = compose.services[plan.role]
    networks = {item.network: item.address for item in plan.attachments}
    if set(networks) != set(service.networks):
        raise InternalError(
            f"{plan.name}: planned on networks {_names(networks)}, but compose/testbed.yaml has {_names(service.networks)}"
        )
    return _spec(
        plan.name,
        plan.role,
        service,
        run,
        networks=tuple((run.docker_name(network), address) for network, address in networks.items()),
        sysctls=plan.sysctls,
    )


def warden_spec(compose: ComposeFile, run: Run) -> ContainerSpec:
    return _spec(WARDEN, Role.WARDEN, compose.services[Role.WARDEN], run, networks=())


def warden_files(run: Run) -> Mapping[str, bytes]:
    config = {
        "run_id": run.run_id,
        "container": WARDEN,
        "role": Role.WARDEN,
        "expires_in_s": run.expires_in_s,
        "settings": {"guard": render_guard(run.run_id, published_port=API_PORT)},
    }
    return {CONFIG: json.dumps(config).encode()}


def container_files(plan: ContainerPlan, run: Run, secrets: Secrets) -> Mapping[str, bytes]:
    """The plan's configuration with what only the run knows: its id, its expiry and the token; and the plan's own files."""
    config = {**plan.config, "run_id": run.run_id, "expires_in_s": run.expires_in_s}
    if plan.role in TALKS_TO_API:
        settings = config.get("settings", {})
        config["settings"] = {**(settings if isinstance(settings, Mapping) else {}), "token": secrets.token}
    files = {CONFIG: json.dumps(config).encode(), CA: secrets.ca_pem}
    files |= {path: text.encode() for path, text in plan.files.items()}
    if any(program.path == PROGRAM for program in plan.programs):
        files[KUBECONFIG] = render_kubeconfig(
            run_id=run.run_id, server=_api_url(plan), ca_pem=secrets.ca_pem, token=secrets.token
        ).encode()
    if plan.role is Role.CONTROLPLANE:
        files |= {SERVER_CERTIFICATE: secrets.server_pem, SERVER_KEY: secrets.server_key_pem}
    return files


def _api_url(plan: ContainerPlan) -> str:
    settings = plan.config["settings"]
    assert isinstance(settings, Mapping)
    return str(settings["api_url"])


def _spec(
    name: str,
    role: Role,
    service: ComposeService,
    run: Run,
    *,
    networks: tuple[tuple[str, IPv4Address], ...],
    sysctls: Mapping[str, str] | None = None,
) -> ContainerSpec:
    return ContainerSpec(
        name=run.docker_name(name),
        image=run.images[role],
        hostname=name,
        labels=run.labels(role, name),
        networks=networks,
        cap_add=service.cap_add,
        cap_drop=service.cap_drop,
        security_opt=service.security_opt,
        sysctls={**service.sysctls, **(sysctls or {})},
        ulimits=tuple(Ulimit(name=key, soft=item.soft, hard=item.hard) for key, item in service.ulimits.items()),
        cpu_shares=service.cpu_shares,
        cgroup_parent=service.cgroup_parent,
        mem_limit=service.mem_limit,
        pids_limit=service.pids_limit,
        # The host's network has the host's resolver; Docker refuses another one there.
        dns=service.dns if service.network_mode is None else (),
        published=service.published,
        binds=service.volumes,
        log_options=service.logging.options,
        stdin=service.stdin_open,
        auto_remove=role is Role.WARDEN,
    )


def _names(networks: Mapping[NetworkName, object]) -> str:
    return ", ".join(sorted(networks)) or "none"
