"""Patches as pure functions from a tree and a patch to a new tree."""
