"""This machine: commands, packages, the engine's process. The only importer of subprocess; must not know of runs."""
