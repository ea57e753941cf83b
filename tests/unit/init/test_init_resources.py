"""Resources from either cgroup version, and events as lines."""

import json
import os

import pytest

from testbed_init.events import EventWriter
from testbed_init.resources import find_cgroup_files, read_conntrack_entries


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_cgroup_version_1_is_read_from_the_controllers(tmp_path):
    write(tmp_path / "cpuacct/cpuacct.usage", "123456789\n")
    write(tmp_path / "memory/memory.usage_in_bytes", "4096\n")
    files = find_cgroup_files(tmp_path, tmp_path / "unused")
    assert (files.cpu_usage_ns(), files.memory_bytes()) == (123456789, 4096)


@pytest.mark.parametrize(("own", "membership"), [("", "/"), ("docker/abc", "/docker/abc"), ("", "/docker/not-mounted")])
def test_cgroup_version_2_is_read_from_the_own_group(tmp_path, own, membership):
    root = tmp_path / "cgroup"
    write(root / "cgroup.controllers", "cpu memory\n")
    write(root / own / "cpu.stat", "usage_usec 250\nuser_usec 200\nsystem_usec 50\n")
    write(root / own / "memory.current", "8192\n")
    write(tmp_path / "membership", f"0::{membership}\n")
    files = find_cgroup_files(root, tmp_path / "membership")
    assert (files.cpu_usage_ns(), files.memory_bytes()) == (250_000, 8192)


def test_without_a_mounted_cgroup_there_are_no_numbers(tmp_path):
    assert find_cgroup_files(tmp_path, tmp_path / "unused") is None


def test_without_connection_tracking_there_is_no_count(tmp_path):
    assert read_conntrack_entries(tmp_path / "missing") is None
    write(tmp_path / "count", "17\n")
    assert read_conntrack_entries(tmp_path / "count") == 17


def test_an_event_is_one_compact_line():
    reading, writing = os.pipe()
    EventWriter(source="node-1/init", clock=lambda: 42, fd=writing).emit("booted", expires_in_s=1800.0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        line = stream.read()
    assert line == b'{"t_mono_ns":42,"source":"node-1/init","event":"booted","fields":{"expires_in_s":1800.0}}\n'
    assert json.loads(line)["event"] == "booted"
