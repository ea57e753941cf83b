"""From what HAProxy has to what the cluster wants: tables of commands."""

from ipaddress import IPv4Address

import pytest

from lbagent.frontends import Backend
from lbagent.planner import (
    AddServer,
    CutSessions,
    DeleteServer,
    DrainServer,
    EnableServer,
    SetAddress,
    SetCheckPort,
    StopServer,
    UndrainServer,
    plan_changes,
)
from lbagent.servers import LiveServer, Server, parse_servers

ADDRESS = IPv4Address("10.100.0.2")
OPTIONS = ("check", "inter", "500ms")


def backend(**changes) -> Backend:
    fields = {
        "name": "nodeport",
        "service": "default/service-test",
        "port": "http",
        "server_options": OPTIONS,
        "checks": True,
        "starts_down": True,
    }
    return Backend(**(fields | changes))


def live(**changes) -> LiveServer:
    fields = {
        "backend": "nodeport",
        "name": "node-1",
        "address": ADDRESS,
        "port": 32213,
        "maintenance": False,
        "drain": False,
        "weight": 1,
        "connections": 0,
    }
    return LiveServer(**(fields | changes))


def wanted(**changes) -> Server:
    return Server(**({"name": "node-1", "address": ADDRESS, "port": 32213} | changes))


AT = {"backend": "nodeport", "server": "node-1"}
ADD = AddServer(**AT, address=ADDRESS, port=32213, options=OPTIONS, starts_down=True)
ENABLE = EnableServer(**AT, checks=True, starts_down=True)


@pytest.mark.parametrize(
    ("now", "then", "commands"),
    [
        pytest.param([], [wanted()], (ADD, ENABLE), id="new server is added, then enabled"),
        pytest.param([], [wanted(drain=True)], (ADD, ENABLE, DrainServer(**AT)), id="new server already excluded"),
        pytest.param([live()], [wanted()], (), id="nothing to do"),
        pytest.param([live(maintenance=True)], [wanted()], (ENABLE,), id="returned before it was deleted"),
        pytest.param([live(weight=0)], [wanted()], (ENABLE,), id="enabling was interrupted"),
        pytest.param([live(maintenance=True)], [wanted(drain=True)], (ENABLE, DrainServer(**AT)), id="returned excluded"),
        pytest.param([live()], [wanted(drain=True)], (DrainServer(**AT),), id="excluded"),
        pytest.param([live(drain=True)], [wanted(drain=True)], (), id="stays drained"),
        pytest.param([live(drain=True)], [wanted()], (UndrainServer(**AT),), id="no longer excluded"),
        pytest.param(
            [live()],
            [wanted(port=30001)],
            (SetAddress(**AT, address=ADDRESS, port=30001),),
            id="node port moved",
        ),
        pytest.param(
            [live()],
            [wanted(address=IPv4Address("10.100.0.9"))],
            (SetAddress(**AT, address=IPv4Address("10.100.0.9"), port=32213),),
            id="node replaced under a new address",
        ),
        pytest.param(
            [live()], [wanted(check_port=10256)], (SetCheckPort(**AT, check_port=10256),), id="checked elsewhere from now on"
        ),
        pytest.param([live()], [], (StopServer(**AT),), id="gone: stopped first"),
        pytest.param([live(drain=True, connections=3)], [], (StopServer(**AT),), id="gone while drained"),
        pytest.param([live(maintenance=True, connections=1)], [], (CutSessions(**AT),), id="gone: still connected"),
        pytest.param([live(maintenance=True)], [], (DeleteServer(**AT),), id="gone: deleted when nothing is connected"),
    ],
)
def test_plan_of_one_server(now, then, commands):
    assert plan_changes(now, {"nodeport": tuple(then)}, [backend()]) == commands


def test_servers_are_added_before_others_are_stopped():
    plan = plan_changes([live()], {"nodeport": (wanted(name="node-2"),)}, [backend()])
    assert [type(command) for command in plan] == [AddServer, EnableServer, StopServer]


def test_each_backend_has_its_own_servers():
    backends = [backend(), backend(name="other")]
    plan = plan_changes([live()], {"nodeport": (wanted(),), "other": (wanted(),)}, backends)
    assert [command.key for command in plan] == ["other/node-1", "other/node-1"]


def test_a_backend_of_nobody_is_left_alone():
    assert plan_changes([live(backend="elsewhere")], {"nodeport": ()}, [backend()]) == ()


def test_the_plan_settles():
    """Carried out on a model of HAProxy, every plan ends: no command is planned for ever."""
    servers: dict[str, LiveServer] = {"node-1": live(connections=2), "node-2": live(name="node-2", drain=True)}
    desired = {"nodeport": (wanted(name="node-2"), wanted(name="node-3", drain=True))}
    for _ in range(10):
        plan = plan_changes(servers.values(), desired, [backend()])
        if not plan:
            break
        for command in plan:
            before = servers.get(command.server)
            match command:
                case AddServer():
                    servers[command.server] = live(name=command.server, maintenance=True, weight=0)
                case EnableServer() | UndrainServer():
                    servers[command.server] = live(name=command.server, weight=1)
                case DrainServer():
                    servers[command.server] = live(name=command.server, drain=True)
                case StopServer():
                    servers[command.server] = live(name=command.server, maintenance=True, connections=before.connections)
                case CutSessions():
                    servers[command.server] = live(name=command.server, maintenance=True)
                case DeleteServer():
                    del servers[command.server]
    else:
        pytest.fail(f"still planning: {plan}")
    assert sorted((server.name, server.drain) for server in servers.values()) == [("node-2", False), ("node-3", True)]


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (ADD, "add server nodeport/node-1 10.100.0.2:32213 check inter 500ms weight 0"),
        (
            AddServer(**AT, address=ADDRESS, port=32213, options=(), starts_down=False),
            "add server nodeport/node-1 10.100.0.2:32213",
        ),
        (
            AddServer(**AT, address=ADDRESS, port=32213, options=OPTIONS, starts_down=True, check_port=10256),
            "add server nodeport/node-1 10.100.0.2:32213 check inter 500ms weight 0 port 10256",
        ),
        (
            EnableServer(**AT, checks=True, starts_down=False, has_agent=True),
            "enable health nodeport/node-1; enable agent nodeport/node-1; set server nodeport/node-1 state ready",
        ),
        (SetCheckPort(**AT, check_port=10256), "set server nodeport/node-1 check-port 10256"),
        (
            ENABLE,
            "enable health nodeport/node-1; set server nodeport/node-1 state ready; "
            "set server nodeport/node-1 health down; set server nodeport/node-1 weight 1",
        ),
        (
            EnableServer(**AT, checks=True, starts_down=False),
            "enable health nodeport/node-1; set server nodeport/node-1 state ready",
        ),
        (EnableServer(**AT, checks=False, starts_down=False), "set server nodeport/node-1 state ready"),
        (
            SetAddress(**AT, address=ADDRESS, port=30001),
            "set server nodeport/node-1 addr 10.100.0.2 port 30001",
        ),
        (DrainServer(**AT), "set server nodeport/node-1 state drain"),
        (UndrainServer(**AT), "set server nodeport/node-1 state ready"),
        (StopServer(**AT), "set server nodeport/node-1 state maint; shutdown sessions server nodeport/node-1"),
        (CutSessions(**AT), "shutdown sessions server nodeport/node-1"),
        (DeleteServer(**AT), "del server nodeport/node-1"),
    ],
)
def test_a_command_is_one_line_for_the_runtime_api(command, line):
    assert command.render() == line


@pytest.mark.parametrize(
    ("command", "answer", "accepted"),
    [
        (ADD, "New server registered.", True),
        (ADD, "Already exists a server with the same name in backend.", False),
        (ENABLE, "", True),
        (ENABLE, "No such server.", False),
        (SetCheckPort(**AT, check_port=1), "No such server.", False),
        (DeleteServer(**AT), "Server deleted.", True),
        (DeleteServer(**AT), "No such server.", True),
        (DeleteServer(**AT), "Server still has connections attached to it, cannot remove it.", False),
        (
            SetAddress(**AT, address=ADDRESS, port=1),
            "IP changed from '10.1.0.1' to '10.100.0.2', no need to change the port by 'stats socket command'",
            True,
        ),
        (SetAddress(**AT, address=ADDRESS, port=1), "Invalid addr format.", False),
    ],
)
def test_an_answer_is_success_only_in_haproxy_s_own_words(command, answer, accepted):
    assert command.accepts(answer) is accepted


STATES = """\
1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state \
bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr \
srv_agent_port
3 nodeport 1 node-1 127.0.1.1 2 8 1 0 0 6 3 3 6 0 0 0 - 32213 - 0 0 - - 0
3 nodeport 3 node-3 127.0.1.3 0 1 1 0 0 6 3 0 14 0 0 0 - 32213 - 0 0 - - 0
"""
CONNECTIONS = """\
# bkname/svname bkid/svid addr port - purge_delay used_cur used_max need_est unsafe_nb safe_nb idle_lim idle_cur \
idle_per_thr[1]
nodeport/node-1 3/1 127.0.1.1 32213 - 0 0 1 1 0 0 0 0
nodeport/node-3 3/3 127.0.1.3 32213 - 0 2 2 2 0 0 0 1 1
"""


def test_live_servers_are_read_from_haproxy_2_6_s_answers():
    assert parse_servers(STATES, CONNECTIONS) == (
        live(address=IPv4Address("127.0.1.1"), drain=True, up=True),
        live(name="node-3", address=IPv4Address("127.0.1.3"), maintenance=True, connections=3),
    )


def test_an_answer_without_header_is_an_error():
    with pytest.raises(ValueError, match="no header '# be_id'"):
        parse_servers("Permission denied\n", CONNECTIONS)
