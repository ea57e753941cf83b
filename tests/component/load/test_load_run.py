import json
import sys
from pathlib import Path

import pytest
from loopback import clock, free_port, keep_answering, render_response, responding

from loadtests import run
from loadtests.load_file import Expect, decode_load
from loadtests.outcomes import Outcome
from loadtests.probe import main as probe_main
from loadtests.probe import probe
from loadtests.settings import Settings

LOAD = {
    "start_mono_ns": None,
    "duration_s": 1,
    "timeout_s": 1.5,
    "in_flight_limit": 10,
    "seed": 1,
    "classes": [{"path": path, "class": "new", "url": "http://198.18.0.3/", "rate_rps": 1} for path in ("a", "b", "c")],
}
SETTINGS = Settings(load_file=Path("/l/load.json"), start_file=Path("/l/start"), output=Path("/o"))


def argv(**changes):
    return run.render_locust_argv(decode_load(LOAD), **({"locustfile": None, "users": 1, "host": None} | changes))


def following(arguments, flag):
    return arguments[arguments.index(flag) + 1]


def test_locust_runs_one_user_for_each_class_headless_and_fails_for_no_request():
    found = argv()
    assert found[:3] == [sys.executable, "-m", "locust"]
    assert Path(following(found, "-f")).name == "locustfile.py"
    assert following(found, "--users") == following(found, "--spawn-rate") == "3"
    assert following(found, "--exit-code-on-error") == "0"
    assert "--headless" in found


def test_own_locustfile_runs_beside_the_recorder_with_its_own_users_and_host():
    found = argv(locustfile=Path("/mine.py"), users=7, host="http://198.18.0.3")
    recorder, own = following(found, "-f").split(",")
    assert (Path(recorder).name, own) == ("closed_model.py", "/mine.py")
    assert following(found, "--users") == "7"
    assert following(found, "--stop-timeout") == "1.5s"
    assert following(found, "--host") == "http://198.18.0.3"


def test_locust_finds_the_files_and_our_package_through_its_environment():
    found = run.render_environment(SETTINGS, {"PYTHONPATH": "/x", "HOME": "/root"})
    assert found["PYTHONPATH"].split(":") == [str(Path(run.__file__).parents[1]), "/x"]
    assert found["HOME"] == "/root"
    assert (found["TESTBED_LOAD_FILE"], found["TESTBED_START_FILE"], found["TESTBED_LOAD_OUTPUT"]) == (
        "/l/load.json",
        "/l/start",
        "/o",
    )


@pytest.mark.parametrize(
    ("document", "arguments", "message"),
    [
        (None, [], "No such file"),
        ({**LOAD, "classes": []}, [], "classes: empty; allowed: at least one"),
        (LOAD, ["--locustfile", "/nowhere.py"], "/nowhere.py: no such file"),
        (LOAD, ["--users", "0"], "--users: found 0; allowed: an integer from 1"),
    ],
)
def test_wrong_use_is_one_line_and_status_64(tmp_path, capsys, document, arguments, message):
    if document is not None:
        (tmp_path / "load.json").write_text(json.dumps(document))
    with pytest.raises(SystemExit) as caught:
        run.main(["--load", str(tmp_path / "load.json"), *arguments])
    assert caught.value.code == 64
    assert message in capsys.readouterr().err


def test_probe_tells_who_answered(capsys):
    with responding(keep_answering()) as pods:
        assert probe_main([pods.url]) == 0
        record = json.loads(capsys.readouterr().out)
    assert (record["outcome"], record["http_status"], record["error"]) == ("ok", 200, "")
    assert (record["pod"], record["node"], record["client"], record["url"]) == ("pod-a", "node-1", "127.0.0.1", pods.url)
    assert 0 < record["sent_mono_ns"] < record["first_byte_mono_ns"] <= record["end_mono_ns"] <= clock()
    assert record["local_port"] > 0


@pytest.mark.parametrize(
    ("response", "expect", "outcome"),
    [
        (render_response(b"hello"), Expect.POD, Outcome.BAD_BODY),
        (render_response(b"hello"), Expect.ANY, Outcome.OK),
        (render_response(status="404 Not Found"), Expect.ANY, Outcome.HTTP_STATUS),
    ],
)
def test_probe_judges_like_the_load(response, expect, outcome):
    with responding(keep_answering(response)) as server:
        record = probe(server.url, timeout_s=0.5, expect=expect, clock=clock)
    assert record["outcome"] == outcome.label


def test_probe_of_a_closed_port_says_refused_and_why(capsys):
    assert probe_main([f"http://127.0.0.1:{free_port()}/"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["outcome"], record["http_status"]) == ("refused", 0)
    assert "Connection refused" in record["error"]


def test_probe_of_a_wrong_url_is_wrong_use(capsys):
    assert probe_main(["ftp://198.18.0.3/"]) == 64
    assert "allowed: http://host" in capsys.readouterr().err
