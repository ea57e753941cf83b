"""Outlives the orchestrator of a run for a moment: guards the host while the run lives and removes it when it is orphaned."""
