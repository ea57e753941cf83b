"""`python3 -m testbed_routes.when_ready URL PROGRAM...`: becomes the program once the URL has answered 200.

A node must not attract traffic before its rules stand: it announces itself once kube-proxy's healthz answers, as routing daemons
that run as pods do by their order of start. Later it is not asked again: like those, the daemon outlives a kube-proxy that dies.
"""

from __future__ import annotations

import os
import sys
import time
import urllib.error
import urllib.request
from typing import NoReturn

PERIOD_S = 0.1
TIMEOUT_S = 1.0


def is_ready(url: str) -> bool:
    """Whether it answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def become_when_ready(url: str, argv: list[str]) -> NoReturn:
    """Polls the URL, then is the program: init's signals reach it under the same pid."""
    while not is_ready(url):
        time.sleep(PERIOD_S)
    os.execvp(argv[0], argv)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python3 -m testbed_routes.when_ready URL PROGRAM [ARGUMENT...]")
    become_when_ready(sys.argv[1], sys.argv[2:])
