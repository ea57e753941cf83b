"""Ingress Testbed: measures how an ingress design holds up while nodes die and the cluster is rescaled."""
