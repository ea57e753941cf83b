"""The control plane of a testbed: a subset of the Kubernetes API, its store, and the controllers that act on it."""
