"""Entries of the timeline as a user writes them: when they strike, how often, together with what, and upon which event."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictInt, field_validator, model_validator

from orchestrator.scenario.quantities import DurationS, PositiveDurationS

TriggerEvent = Literal[
    "bfd-down",
    "bgp-session-down",
    "endpoint-not-ready",
    "endpoint-ready",
    "endpoint-removed",
    "endpoint-terminating",
    "node-not-ready",
    "node-ready",
    "pod-evicted",
    "server-down",
    "server-up",
    "step-done",
    "step-effective",
    "step-healed",
    "vip-acquired",
]
"""Events of docs/contracts.md section 2 that tell a change which a fault can wait for."""


class Trigger(BaseModel):
    """Waits for an event of the run instead of an instant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: TriggerEvent
    of: str | None = Field(
        default=None, description="the node, server, service, pod, endpoint or step that the event names; default: whichever"
    )
    delay: DurationS = Field(default=0.0, validate_default=False, description="from the event to the strike")


class TargetSelector(BaseModel):
    """Chooses nodes that are there at the instant, by the seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: Literal["any", "next-hop", "not next-hop"] = "any"
    labels: dict[str, str] = Field(default={}, description="labels that the node must have (cluster.node_labels)")
    count: StrictInt | None = Field(default=None, ge=1)
    ratio: Annotated[str, Field(pattern=r"^\d+(\.\d+)?%$", examples=["50%"])] | None = Field(
        default=None, description="share of the nodes that match, rounded up: `50%`"
    )

    @field_validator("ratio")
    @classmethod
    def _some_of_them(cls, ratio: str | None) -> str | None:
        if ratio is not None and not 0 < float(ratio.removesuffix("%")) <= 100:
            raise ValueError("is no share of the nodes; allowed: more than 0%, up to 100%")
        return ratio

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.count is not None and self.ratio is not None:
            raise ValueError("names both count and ratio; allowed: one of them")
        return self

    def size_of(self, matching: int) -> int:
        """How many of the nodes that match are struck."""
        if self.count is not None:
            return self.count
        if self.ratio is not None:
            return -int(-(matching * float(self.ratio.removesuffix("%")) / 100) // 1)
        return matching if self.labels else 1


class Member(BaseModel):
    """One fault of a group that strikes together; the other keys belong to the kind."""

    model_config = ConfigDict(frozen=True, extra="allow")

    fault: str
    for_s: PositiveDurationS | None = Field(default=None, alias="for")

    @property
    def options(self) -> dict[str, JsonValue]:
        return dict(self.model_extra or {})


class Entry(BaseModel):
    """One entry of the timeline: `fault: <kind>`, `together: [...]` or `scale: {...}`; the other keys belong to the kind."""

    model_config = ConfigDict(frozen=True, extra="allow")

    at: DurationS | None = Field(default=None, description="from the start of the load; with `after`: not before this")
    after: Trigger | None = Field(default=None, description="strikes upon an event instead of at an instant")
    for_s: PositiveDurationS | None = Field(default=None, alias="for")
    every: PositiveDurationS | None = Field(default=None, description="strikes again after this, `times` times in all")
    times: StrictInt | None = Field(default=None, ge=1, le=1000)
    phase: PositiveDurationS | None = Field(
        default=None, description="a random delay below this, by the seed: strikes at any phase of health checks and heartbeats"
    )
    fault: str | None = None
    together: tuple[Member, ...] | None = Field(default=None, min_length=2, description="faults that strike at the same instant")
    scale: dict[str, JsonValue] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(kind is not None for kind in (self.fault, self.together, self.scale)) != 1:
            raise ValueError("needs one kind; allowed: one of `fault: <kind>`, `together: [...]`, `scale: {nodes, pods}`")
        if self.at is None and self.after is None:
            raise ValueError("needs an instant; allowed: `at: 10s`, or `after: {event: node-not-ready}`")
        if (self.every is None) != (self.times is None):
            raise ValueError("repeats only with both `every` and `times`")
        if self.every is not None and (self.scale is not None or self.fault == "scale"):
            raise ValueError("repeats a rescale, which changes nothing the second time; allowed: one entry for each")
        if self.every is not None and self.after is not None:
            raise ValueError("repeats upon an event; allowed: `every` with `at`, or one `after`")
        if self.together is not None and self.model_extra:
            raise ValueError(f"has {', '.join(sorted(self.model_extra))} beside `together`; allowed: in its members")
        return self

    @property
    def kind(self) -> str:
        return self.fault if self.fault is not None else "scale"

    @property
    def options(self) -> dict[str, JsonValue]:
        """What belongs to the kind: the keys that are not the timeline's own."""
        return {**(self.scale or {}), **(self.model_extra or {})}
