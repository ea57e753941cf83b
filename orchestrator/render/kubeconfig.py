"""The kubeconfig of a run: kubectl's way to its control plane. Pure."""

import base64
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubeconfig:
    """What a client needs of it."""

    server: str
    ca_pem: bytes
    token: str


def read_kubeconfig(text: str) -> Kubeconfig:
    """One that `render_kubeconfig` wrote."""
    document = yaml.safe_load(text)
    cluster = document["clusters"][0]["cluster"]
    return Kubeconfig(
        server=cluster["server"],
        ca_pem=base64.b64decode(cluster["certificate-authority-data"]),
        token=document["users"][0]["user"]["token"],
    )
