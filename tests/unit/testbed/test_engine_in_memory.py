"""The engine in memory keeps the contract that Docker keeps."""

from collections.abc import Sequence
from ipaddress import IPv4Network

import pytest

from orchestrator.testbed.engine import OutputStream
from orchestrator.testbed.fake import FakeEngine
from orchestrator.testbed.fake_container import FakeContainer
from tests.unit.testbed.engine_contract import EngineContract, Subject


def program(container: FakeContainer) -> None:
    container.print("ready")
    container.print("warning", OutputStream.STDERR)


def command(container: FakeContainer, argv: Sequence[str]) -> tuple[int, str]:
    return (3, "") if argv[0] == "fail" else (0, " ".join(argv[1:]) + "\n")


class TestEngineInMemory(EngineContract):
    @pytest.fixture
    def subject(self) -> Subject:
        return Subject(FakeEngine(programs={"subject": program}, command=command), "subject", IPv4Network("198.18.240.0/24"))
