"""Objectives: one file per kind says which number it judges; reading their texts and comparing is the same for all."""

from orchestrator.slo.objectives import SLOS, judge_objective, parse_objective

__all__ = ["SLOS", "judge_objective", "parse_objective"]
