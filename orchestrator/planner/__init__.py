"""Scenario -> plan. Pure: same scenario, seed, slot and trial give the same plan, byte for byte; nothing is started here."""

from orchestrator.planner.planning import plan_run

__all__ = ["plan_run"]
