"""docs/fidelity.md names the kinds that the control plane has, and the testbed's default profile."""

import re
from pathlib import Path

from controlplane.kinds.registry import RESOURCES
from orchestrator.planner.timings import plan_timings
from orchestrator.scenario.schema import KubeProxy, Timings

FIDELITY = Path(__file__).resolve().parents[3] / "docs" / "fidelity.md"


def test_every_kind_is_named_and_no_other() -> None:
    (named,) = re.findall(r"^\| Kinds: ([^.]+)\.", FIDELITY.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(named.split(", ")) == sorted({resource.kind for resource in RESOURCES})


def test_default_profile_divides_every_interval_by_ten() -> None:
    assert Timings().profile == "fast"
    fast, real = (plan_timings(Timings(profile=profile), KubeProxy()).values for profile in ("fast", "kubernetes"))
    assert fast == {name: value / 10 for name, value in real.items()}
