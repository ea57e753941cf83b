"""Service of type LoadBalancer: the control plane gives it an external address, and HAProxy (TCP) is provisioned there.

Its limits are those of layer 4: no TLS termination, no routing by host or path, one service for each address and port. Several
services share the machine, not the address. Several paths of one service, with settings of their own,
have an address each.
"""

from ipaddress import IPv4Address
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from orchestrator.contracts import PathParts, PlanContext, ServiceFacts, ServicePortFacts
from orchestrator.ingress.haproxy import HEALTH_CHECK_NODE_PORT, HaproxyOptions, check_service, plan_settings
from orchestrator.ingress.selection import select_port, select_service
from orchestrator.model.plan import Expectation, PathPlan


class LoadBalancerOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    service: str | None = None
    port: str | None = None
    haproxy: HaproxyOptions = HaproxyOptions()


class LoadBalancer:
    """Client -> external address on the load balancer -> any node's node port -> its netfilter rules -> pod.

    With externalTrafficPolicy Local HAProxy asks each node's health check node port, so that only nodes with a pod of their own
    get connections. The URL stands in the plan because the planner asks for the address (`spec.loadBalancerIP`).
    """

    kind: ClassVar[str] = "loadbalancer"
    options: ClassVar[type[BaseModel]] = LoadBalancerOptions

    def plan(self, name: str, options: BaseModel, context: PlanContext, index: int) -> PathParts:
        assert isinstance(options, LoadBalancerOptions)
        service = select_service(options.service, context)
        port = select_port(service, options.port)
        if service.external_ip is None:
            raise ValueError(
                f"service: {service.key} has type {service.service_type} and no external address; "
                "allowed: LoadBalancer without a loadBalancerClass"
            )
        if port.protocol != "TCP":
            raise ValueError(f"port: {port.name or port.port} of {service.key} is {port.protocol}; allowed: TCP")
        check_service(options.haproxy, service)
        default_check = HEALTH_CHECK_NODE_PORT if service.is_local else "tcp"
        further = _select_further(service, port, context)
        address = further or service.external_ip
        path = PathPlan(
            name=name,
            kind=self.kind,
            url=f"http://{address}:{port.port}/",
            expect=Expectation.OK,
            service=service.key,
            entry_nodes=(),
            frontend=name,
            settings=plan_settings(options.haproxy, service, default_check=default_check),
        )
        frontend = {
            "name": name,
            "service": service.key,
            "port": port.name or port.port,
            "mode": "loadbalancer",
            "haproxy": options.haproxy.to_settings(),
            **({} if further is None else {"address": str(further)}),
        }
        return PathParts(path=path, frontends=(frontend,))


def _select_further(service: ServiceFacts, port: ServicePortFacts, context: PlanContext) -> IPv4Address | None:
    """None for the first path to this port of the Service, which has the Service's own address."""
    named = {"mode": "loadbalancer", "service": service.key, "port": port.name or port.port}
    if not any(named.items() <= frontend.items() for frontend in context.frontends):
        return None
    used = {frontend.get("address") for frontend in context.frontends}
    free = next((address for address in context.further_external if str(address) not in used), None)
    if free is None:
        raise ValueError(
            f"service: no address is left for another path to {service.key}; "
            f"allowed: {len(context.further_external)} paths beside the first of each Service"
        )
    return free
