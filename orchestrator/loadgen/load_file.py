"""/run/load/load.json of a planned load (docs/contracts.md section 5). Pure."""

import json

from orchestrator.model.plan import LoadPlan


def render_load_file(load: LoadPlan) -> bytes:
    document = {
        "start_mono_ns": None,
        "duration_s": load.duration_s,
        "timeout_s": load.timeout_s,
        "in_flight_limit": load.in_flight_limit,
        "seed": load.seed,
        "classes": [
            {
                "path": item.path,
                "class": item.connection_class,
                "url": item.url,
                "rate_rps": item.rate_rps,
                "connections": item.connections,
                "arrivals": item.arrivals,
                "expect": item.expect,
                "connect_to": item.connect_to,
                "ca_file": item.ca_file,
            }
            for item in load.classes
        ],
    }
    return json.dumps(document, indent=1).encode()
