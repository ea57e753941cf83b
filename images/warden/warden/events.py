"""Reports on standard output, one event a line (docs/contracts.md section 2)."""

import json
import os
import time


def emit(event: str, **fields: object) -> None:
    record = {"t_mono_ns": time.monotonic_ns(), "source": "warden/warden", "event": event, "fields": fields}
    os.write(1, json.dumps(record, separators=(",", ":")).encode() + b"\n")
