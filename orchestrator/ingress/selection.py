"""How every path finds the Service, its port and the node it names. Raises ValueError with words for the user's file."""

from orchestrator.contracts import PlanContext, ServiceFacts, ServicePortFacts


def select_service(name: str | None, context: PlanContext) -> ServiceFacts:
    """The named Service, or the only one of the manifests."""
    distinct = {facts.key: facts for facts in context.services.values()}
    if name is None:
        if len(distinct) == 1:
            return next(iter(distinct.values()))
        raise ValueError(f"service: is required, since the manifests hold {len(distinct)}; allowed: {_names(distinct)}")
    if name not in context.services:
        raise ValueError(f"service: no manifest has a Service {name!r}; allowed: {_names(distinct)}")
    return context.services[name]


def select_port(service: ServiceFacts, port: str | None) -> ServicePortFacts:
    """The port of that name, or the first."""
    if port is None:
        return service.ports[0]
    for item in service.ports:
        if item.name == port:
            return item
    names = ", ".join(item.name or str(item.port) for item in service.ports)
    raise ValueError(f"port: Service {service.key} has no port named {port!r}; allowed: {names}")


def select_node(key: str, name: str, context: PlanContext) -> str:
    if name not in context.nodes:
        raise ValueError(f"{key}: no such node {name!r} at the start; allowed: {', '.join(context.nodes)}")
    return name


def _names(services: dict[str, ServiceFacts]) -> str:
    return ", ".join(services) or "none: add a Service manifest"
