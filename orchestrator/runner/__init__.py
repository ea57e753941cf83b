"""Carries out the timeline of a plan: the only part of a run with threads and a clock of its own."""

from orchestrator.runner.interpreter import run_timeline

__all__ = ["run_timeline"]
