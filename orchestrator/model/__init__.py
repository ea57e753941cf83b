"""Frozen data of a run: what was planned, what happened, what was measured. No behaviour beyond look-ups."""
