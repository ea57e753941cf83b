"""What the agent relies on in HAProxy's Runtime API: lines in order, each with its answer, from an empty backend `nodeport`.

Tests hold both the real HAProxy and `FakeHaproxy` to it.
"""

from __future__ import annotations

OPTIONS = "check inter 60000ms"

CONVERSATION: tuple[tuple[str, str], ...] = (
    ("set server nodeport/a state ready", "No such server."),
    ("del server nodeport/a", "No such server."),
    (f"add server elsewhere/a 127.0.1.1:32213 {OPTIONS}", "No such backend."),
    (f"add server nodeport/a 127.0.1.1:32213 {OPTIONS} weight 0", "New server registered."),
    (f"add server nodeport/a 127.0.1.1:32213 {OPTIONS}", "Already exists a server with the same name in backend."),
    ("enable health nodeport/a; set server nodeport/a state ready; set server nodeport/a health down", ""),
    ("set server nodeport/a weight 1", ""),
    ("del server nodeport/a", "Only servers in maintenance mode can be deleted."),
    ("set server nodeport/a check-port 10256", ""),
    ("set server nodeport/a state drain", ""),
    ("set server nodeport/a state maint; shutdown sessions server nodeport/a", ""),
    ("del server nodeport/a", "Server deleted."),
    ("del server nodeport/a", "No such server."),
    (f"add server nodeport/a 127.0.1.1:32213 {OPTIONS} agent-check agent-port 10257 port 10256", "New server registered."),
    ("enable health nodeport/a; enable agent nodeport/a; set server nodeport/a state ready", ""),
    ("set server nodeport/a state maint; shutdown sessions server nodeport/a", ""),
    ("del server nodeport/a", "Server deleted."),
    ("shutdown frontend elsewhere", "No such frontend."),
    ("shutdown frontend nodeport", ""),
    ("shutdown frontend nodeport", "Frontend was already shut down."),
)

STATES: tuple[tuple[str, tuple[bool, bool, int]], ...] = (
    (f"add server nodeport/b 127.0.1.1:32213 {OPTIONS} weight 0", (True, False, 0)),
    ("set server nodeport/b state ready; set server nodeport/b health down; set server nodeport/b weight 1", (False, False, 1)),
    ("set server nodeport/b state drain", (False, True, 1)),
    ("set server nodeport/b state ready", (False, False, 1)),
    ("set server nodeport/b state maint", (True, False, 1)),
)
"""After each line: whether server b is in maintenance, whether it drains, its weight."""
