"""The kubeconfig of a run: kubectl's way to its control plane. Pure."""

import base64

import yaml


def render_kubeconfig(*, run_id: str, server: str, ca_pem: bytes, token: str) -> str:
    """A kubeconfig with one cluster, user and context (kubernetes.io, "Organizing Cluster Access Using kubeconfig Files")."""
    name = f"ingress-testbed-{run_id}"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {"server": server, "certificate-authority-data": base64.b64encode(ca_pem).decode("ascii")},
            }
        ],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return yaml.safe_dump(document, sort_keys=False)
