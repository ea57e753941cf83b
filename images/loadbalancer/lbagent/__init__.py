"""The load balancer's agent: owns HAProxy, follows the cluster's nodes and services, and never reloads to do so."""
