"""Ingress resources: what they route, which certificates they ask for, what is wrong with them, and how HAProxy is told."""
