"""The two timings profiles: Kubernetes' own defaults, and the same divided by ten: ratios stay, a run fits a minute."""

from dataclasses import dataclass, fields

from orchestrator.model.plan import TimingsPlan
from orchestrator.scenario.schema import KubeProxy, Timings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Intervals:
    """Kubernetes 1.36 defaults, in seconds: kubelet leases and status, node lifecycle controller, kube-proxy sync."""

    lease_renew_s: float = 10.0
    lease_duration_s: float = 40.0
    status_update_s: float = 10.0
    node_monitor_period_s: float = 5.0
    node_monitor_grace_period_s: float = 50.0  # 40 s before Kubernetes 1.32
    node_startup_grace_period_s: float = 60.0
    toleration_s: float = 300.0
    eviction_interval_s: float = 10.0  # 0.1 evictions per second
    min_sync_period_s: float = 1.0
    sync_period_s: float = 30.0


_DIVISOR = {"kubernetes": 1.0, "fast": 10.0}


def plan_timings(spec: Timings, kube_proxy: KubeProxy) -> TimingsPlan:
    """The profile's intervals with the scenario's own in place. Raises ValueError where the result cannot work."""
    divisor = _DIVISOR[spec.profile]
    values = {item.name: float(item.default) / divisor for item in fields(_Intervals) if isinstance(item.default, float)}
    chosen = {
        **{f"{name}_s": value for name, value in spec.model_dump(exclude={"profile"}, mode="python").items()},
        "min_sync_period_s": kube_proxy.min_sync_period,
        "sync_period_s": kube_proxy.sync_period,
    }
    own = {name: value for name, value in chosen.items() if value is not None}
    values.update(own)
    if values["node_monitor_grace_period_s"] <= values["lease_renew_s"]:
        grace, renew = values["node_monitor_grace_period_s"], values["lease_renew_s"]
        raise ValueError(
            f"node_monitor_grace_period: {grace:g}s must be longer than lease_renew ({renew:g}s), or live nodes are lost"
        )
    return TimingsPlan(profile=spec.profile if not own else f"{spec.profile}, changed: {', '.join(sorted(own))}", values=values)
