import copy
import json

import pytest

from loadtests.load_file import Arrivals, Expect, LoadFileError, decode_load, read_load_file

DOCUMENT = {
    "start_mono_ns": None,
    "duration_s": 60.0,
    "timeout_s": 1.0,
    "in_flight_limit": 1000,
    "seed": 42,
    "classes": [
        {"path": "nodeport", "class": "new", "url": "http://198.18.0.3:80/", "rate_rps": 200.0, "connections": 1},
        {
            "path": "control",
            "class": "new",
            "url": "http://10.100.0.5:8090/",
            "rate_rps": 50,
            "arrivals": "poisson",
            "expect": "any",
        },
    ],
}


def changed(keys, value):
    document = copy.deepcopy(DOCUMENT)
    at = document
    for key in keys[:-1]:
        at = at[key]
    at[keys[-1]] = value
    return document


def test_class_expects_a_pod_and_arrives_uniformly_unless_it_says_otherwise():
    first, second = decode_load(DOCUMENT).classes
    assert (first.expect, first.arrivals, first.connections) == (Expect.POD, Arrivals.UNIFORM, 1)
    assert (second.expect, second.arrivals, second.rate_rps) == (Expect.ANY, Arrivals.POISSON, 50.0)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["duration_s"], 0, "duration_s: found 0; allowed: a number above 0"),
        (["timeout_s"], "1s", "timeout_s: found '1s'; allowed: a number above 0"),
        (["in_flight_limit"], 0, "in_flight_limit: found 0; allowed: an integer from 1"),
        (["seed"], True, "seed: found True; allowed: an integer"),
        (["start_mono_ns"], 1.5, "start_mono_ns: found 1.5; allowed: an integer or null"),
        (["classes"], {}, "classes: found dict; allowed: a list"),
        (["classes", 1], 3, "classes[1]: found int; allowed: an object"),
        (["classes", 0, "url"], "", "classes[0].url: found ''; allowed: a text"),
        (["classes", 0, "rate_rps"], float("inf"), "classes[0].rate_rps: found inf; allowed: a number above 0"),
        (["classes", 0, "expect"], "node", "classes[0].expect: found 'node'; allowed: pod, any"),
        (["classes", 0, "arrivals"], "burst", "classes[0].arrivals: found 'burst'; allowed: uniform, poisson"),
        (["classes", 1, "path"], "nodeport", "classes: nodeport/new: given twice; allowed: each path and class once"),
    ],
)
def test_wrong_value_is_refused_with_its_key_and_what_is_allowed(keys, value, message):
    with pytest.raises(LoadFileError) as caught:
        decode_load(changed(keys, value))
    assert str(caught.value) == message


def test_missing_key_is_named():
    document = {key: value for key, value in DOCUMENT.items() if key != "timeout_s"}
    with pytest.raises(LoadFileError, match="timeout_s: missing"):
        decode_load(document)


def test_message_about_a_file_starts_with_its_name(tmp_path):
    file = tmp_path / "load.json"
    with pytest.raises(LoadFileError, match=r"load\.json: No such file"):
        read_load_file(file)
    file.write_text("{")
    with pytest.raises(LoadFileError, match=r"load\.json: not JSON"):
        read_load_file(file)
    file.write_text(json.dumps(changed(["seed"], None)))
    with pytest.raises(LoadFileError, match=r"load\.json: seed: found None"):
        read_load_file(file)


def test_class_may_call_an_address_for_a_name():
    document = changed(["classes", 0, "connect_to"], "198.18.0.3")
    document["classes"][0]["ca_file"] = "/etc/testbed/pki/ca.crt"
    first, second = decode_load(document).classes
    assert (first.connect_to, first.ca_file) == ("198.18.0.3", "/etc/testbed/pki/ca.crt")
    assert (second.connect_to, second.ca_file) == (None, None)


def test_address_to_call_must_be_a_text():
    with pytest.raises(LoadFileError, match=r"classes\[0\]\.connect_to: found 7; allowed: a text"):
        decode_load(changed(["classes", 0, "connect_to"], 7))
