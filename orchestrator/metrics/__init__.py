"""History and samples become numbers. Pure; every formula stands in its docstring and in docs/metrics.md."""
