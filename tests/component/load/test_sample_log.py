import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.outcomes import Outcome as SenderOutcome
from loadtests.sample_log import RECORD, SampleLog
from orchestrator.errors import InternalError
from orchestrator.model.samples import (
    RAW_RECORDS,
    RAW_STRINGS,
    RECORDS,
    SAMPLE_DTYPE,
    STRINGS,
    Outcome,
    load_samples,
    read_raw_samples,
    save_samples,
)

# 64-bit, 32-bit, 16-bit and 8-bit fields, in the order of the record.
instants = st.integers(0, 2**63 - 1)
records = st.tuples(
    *[instants] * 4,
    st.integers(0, 2**32 - 1),
    *[st.text(max_size=8)] * 5,
    *[st.integers(0, 2**16 - 1)] * 3,
    *[st.integers(0, 255)] * 2,
)
ID_FIELDS = ("path_id", "class_id", "pod_id", "node_id", "client_id")


def write(directory, rows):
    with SampleLog(directory) as log:
        for row in rows:
            log.append(*row[:5], *(log.intern(string) for string in row[5:10]), *row[10:])


def row(intended_ns, *, path="nodeport", connection_class="new", outcome=0, sequence=0):
    strings = (path, connection_class, "pod-a", "node-1", "198.18.0.2")
    return (intended_ns, intended_ns, 0, intended_ns + 5, sequence, *strings, 40000, 200, 1, outcome, 1)


def test_record_of_the_sender_is_the_dtype_of_the_orchestrator():
    assert SAMPLE_DTYPE.itemsize == RECORD.size
    for position, field in enumerate(SAMPLE_DTYPE.names):
        values = [0] * len(SAMPLE_DTYPE.names)
        values[position] = 171
        read = np.frombuffer(RECORD.pack(*values), dtype=SAMPLE_DTYPE)[0]
        assert [name for name in SAMPLE_DTYPE.names if read[name] == 171] == [field]
        assert str(SAMPLE_DTYPE[field]) == {"q": "int64", "I": "uint32", "H": "uint16", "B": "uint8"}[RECORD.format[1:][position]]


def test_outcomes_of_the_sender_are_those_of_the_orchestrator():
    assert {item.name: (item.value, item.label) for item in SenderOutcome} == {
        item.name: (item.value, item.label) for item in Outcome
    }


@settings(max_examples=30)
@given(rows=st.lists(records, max_size=20))
def test_what_was_logged_is_read_back_in_order_of_intended_instants(tmp_path_factory, rows):
    directory = tmp_path_factory.mktemp("log")
    write(directory, rows)
    raw = read_raw_samples(directory)
    save_samples(raw, directory)
    for samples in (raw, load_samples(directory)):
        found = [
            tuple(samples.strings[record[name]] if name in ID_FIELDS else int(record[name]) for name in SAMPLE_DTYPE.names)
            for record in samples.records
        ]
        assert found == sorted(rows, key=lambda item: item[0])


@given(rows=st.lists(records, min_size=1, max_size=5), data=st.data())
def test_a_sender_killed_in_the_middle_of_a_record_costs_that_record_only(tmp_path_factory, rows, data):
    directory = tmp_path_factory.mktemp("log")
    write(directory, rows)
    file = directory / RAW_RECORDS
    kept = data.draw(st.integers(0, file.stat().st_size))
    file.write_bytes(file.read_bytes()[:kept])
    assert len(read_raw_samples(directory)) == kept // RECORD.size


def test_nothing_is_written_before_a_flush_and_everything_after_it(tmp_path):
    with SampleLog(tmp_path) as log:
        log.append(1, 1, 1, 1, 0, log.intern("nodeport"), 0, 0, 0, 0, 0, 200, 1, 0, 1)
        assert (tmp_path / RAW_RECORDS).stat().st_size == 0
        log.flush()
        assert len(read_raw_samples(tmp_path)) == 1
        assert [json.loads(line) for line in (tmp_path / RAW_STRINGS).read_text().splitlines()] == ["", "nodeport"]


def test_log_of_an_earlier_run_is_replaced(tmp_path):
    write(tmp_path, [row(1), row(2)])
    write(tmp_path, [row(3)])
    assert read_raw_samples(tmp_path).records["intended_ns"].tolist() == [3]


def test_samples_are_selected_by_path_and_class(tmp_path):
    write(tmp_path, [row(3), row(1, path="static-route", outcome=1), row(2, connection_class="keepalive")])
    samples = read_raw_samples(tmp_path)
    assert samples.subjects == (("nodeport", "keepalive"), ("nodeport", "new"), ("static-route", "new"))
    assert samples.of("nodeport").records["intended_ns"].tolist() == [2, 3]
    assert samples.of("nodeport", "new").records["intended_ns"].tolist() == [3]
    assert len(samples.of("bgp")) == 0
    assert samples.ok.tolist() == [False, True, True]
    assert samples.column("node_id").tolist() == ["node-1"] * 3


def test_record_that_names_an_unknown_string_is_an_error(tmp_path):
    write(tmp_path, [row(1)])
    (tmp_path / RAW_STRINGS).write_text('""\n"nodeport"\n')
    with pytest.raises(InternalError, match=r"samples\.bin: a record names string 2 as its class_id; only 2 are known"):
        read_raw_samples(tmp_path)


def test_missing_or_foreign_files_are_errors_with_their_name(tmp_path):
    with pytest.raises(InternalError, match=r"samples\.bin: No such file"):
        read_raw_samples(tmp_path)
    np.save(tmp_path / RECORDS, np.zeros(3))
    with pytest.raises(InternalError, match=r"samples\.npy: records are float64"):
        load_samples(tmp_path)
    write(tmp_path, [row(1)])
    save_samples(read_raw_samples(tmp_path), tmp_path)
    (tmp_path / STRINGS).write_text('{"a": 1}')
    with pytest.raises(InternalError, match=r"strings\.json: expected a list of strings"):
        load_samples(tmp_path)
