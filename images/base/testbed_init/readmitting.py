"""`python3 -m testbed_init.readmitting NODE`: in the control plane, let a node that was drained have pods and connections again.

The API of the same container is asked as anybody else asks it; a node that is gone needs nothing.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CONFIG = Path("/etc/testbed/config.json")
CA = Path("/etc/testbed/pki/ca.crt")
EXCLUDE_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"
BODY = {"metadata": {"labels": {EXCLUDE_LABEL: None}}, "spec": {"unschedulable": None}}
TIMEOUT_S = 2.0


def readmit(node: str, settings: Mapping[str, Any], connection: http.client.HTTPConnection) -> str:
    """What the API holds afterwards. Raises OSError, and ValueError for an answer that is none."""
    headers = {"Authorization": f"Bearer {settings['token']}", "Content-Type": "application/merge-patch+json"}
    connection.request("PATCH", f"/api/v1/nodes/{node}", json.dumps(BODY), headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status == http.client.NOT_FOUND:
        return f"{node} is gone"
    found = json.loads(text)
    if answer.status != http.client.OK:
        raise OSError(f"PATCH of {node}: HTTP {answer.status}: {found.get('message')}")
    if found["spec"].get("unschedulable") or EXCLUDE_LABEL in found["metadata"].get("labels", {}):
        raise OSError(f"{node} is not admitted: {text.decode()[:200]}")
    return f"{node} is schedulable, and for load balancers"


def main(argv: list[str]) -> int:
    (node,) = argv
    settings = json.loads(CONFIG.read_text(encoding="utf-8"))["settings"]
    port = int(str(settings["bind"]).rpartition(":")[2])
    context = ssl.create_default_context(cafile=CA)
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=TIMEOUT_S, context=context)
    try:
        sys.stdout.write(readmit(node, settings, connection))
    except (OSError, ValueError, http.client.HTTPException) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}")
        return 1
    finally:
        connection.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
