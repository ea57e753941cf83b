"""What the testbed relies on in an engine: one contract for the one in memory and for Docker.

The subject's image runs a program that prints `ready` on standard output and `warning` on standard error, then stays; its
commands are `echo WORDS...` and `fail` (status 3).
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

import pytest

from orchestrator.errors import EngineError
from orchestrator.testbed.archive import files_in, pack
from orchestrator.testbed.engine import ContainerSpec, Engine, NetworkSpec, OutputStream, PoolOverlapError
from orchestrator.testbed.labels import labels_for_test

LABEL = "ingress-testbed-test"


@dataclass(frozen=True, slots=True)
class Subject:
    engine: Engine
    image: str
    subnet: IPv4Network


class EngineContract:
    """Inherit and provide the fixture `subject`."""

    @pytest.fixture
    def mark(self, subject: Subject) -> Iterator[str]:
        """A label value of this test alone; what carries it is removed."""
        mark = uuid.uuid4().hex[:12]
        yield mark
        for container in subject.engine.containers({LABEL: mark}):
            subject.engine.remove_container(container.id)
        for network in subject.engine.networks({LABEL: mark}):
            subject.engine.remove_network(network.id)

    def network(self, subject: Subject, mark: str) -> NetworkSpec:
        return NetworkSpec(
            name=f"itb-test-{mark}",
            subnet=subject.subnet,
            router=subject.subnet[254],
            driver="bridge",
            driver_opts={
                "com.docker.network.bridge.inhibit_ipv4": "true",
                "com.docker.network.bridge.enable_ip_masquerade": "false",
            },
            labels={LABEL: mark, **labels_for_test()},
        )

    def container(self, subject: Subject, mark: str, **changes: object) -> ContainerSpec:
        settings: dict[str, object] = {
            "name": f"itb-test-{mark}",
            "image": subject.image,
            "hostname": "subject",
            "labels": {LABEL: mark, "ingress-testbed.container": "subject", **labels_for_test()},
            **changes,
        }
        return ContainerSpec(**settings)  # type: ignore[arg-type]

    def test_a_subnet_is_given_out_once(self, subject: Subject, mark: str) -> None:
        network = subject.engine.create_network(self.network(subject, mark))
        with pytest.raises(PoolOverlapError):
            subject.engine.create_network(self.network(subject, f"{mark}b"))
        subject.engine.remove_network(network)
        subject.engine.remove_network(network)
        assert subject.engine.networks({LABEL: mark}) == ()

    def test_labels_find_exactly_what_carries_them(self, subject: Subject, mark: str) -> None:
        container = subject.engine.create_container(self.container(subject, mark))
        assert [item.id for item in subject.engine.containers({LABEL: mark})] == [container]
        assert container in [item.id for item in subject.engine.containers({LABEL: ""})]
        assert subject.engine.containers({LABEL: mark, "ingress-testbed.container": "other"}) == ()
        assert subject.engine.containers({LABEL: f"{mark}x"}) == ()

    def test_an_address_is_given_out_once(self, subject: Subject, mark: str) -> None:
        spec = self.network(subject, mark)
        subject.engine.create_network(spec)
        networks = ((spec.name, subject.subnet[7]),)
        first = subject.engine.create_container(self.container(subject, mark, networks=networks))
        subject.engine.start(first)

        def second() -> None:
            spec = self.container(subject, mark, name=f"itb-test-{mark}-2", networks=networks)
            subject.engine.start(subject.engine.create_container(spec))

        with pytest.raises(EngineError):
            second()

    def test_output_is_whole_from_the_first_line_to_the_last_in_every_life(self, subject: Subject, mark: str) -> None:
        container = subject.engine.create_container(self.container(subject, mark))
        for _ in range(2):
            attachment = subject.engine.attach(container)
            subject.engine.start(container)
            output: dict[OutputStream, bytes] = dict.fromkeys(OutputStream, b"")
            for stream, chunk in attachment.read():
                output[stream] += chunk
                if all(output.values()):
                    subject.engine.stop(container, 0)
            assert output == {OutputStream.STDOUT: b"ready\n", OutputStream.STDERR: b"warning\n"}

    def test_who_attaches_later_can_have_what_was_said_before(self, subject: Subject, mark: str) -> None:
        container = subject.engine.create_container(self.container(subject, mark))
        first = subject.engine.attach(container)
        subject.engine.start(container)
        said = {OutputStream.STDOUT: b"ready\n", OutputStream.STDERR: b"warning\n"}
        for attachment in (first, subject.engine.replay(container)):
            output: dict[OutputStream, bytes] = dict.fromkeys(OutputStream, b"")
            for stream, chunk in attachment.read():
                output[stream] += chunk
                if output == said:
                    break
            assert output == said

    def test_files_are_put_into_a_container_that_has_not_started_and_fetched_from_one_that_has_ended(
        self, subject: Subject, mark: str
    ) -> None:
        container = subject.engine.create_container(self.container(subject, mark))
        subject.engine.put_archive(container, pack({"/etc/testbed/config.json": b"{}", "/etc/testbed/pki/ca.crt": b"ca"}))
        subject.engine.start(container)
        subject.engine.stop(container, 0)
        archive = subject.engine.get_archive(container, "/etc/testbed")
        assert archive is not None
        found = files_in(archive)
        assert (found["/testbed/config.json"], found["/testbed/pki/ca.crt"]) == (b"{}", b"ca")
        assert subject.engine.get_archive(container, "/no/such/path") is None

    def test_commands_give_their_output_and_status(self, subject: Subject, mark: str) -> None:
        container = subject.engine.create_container(self.container(subject, mark))
        subject.engine.start(container)
        for argv, output, status in ((["echo", "a", "b"], b"a b\n", 0), (["fail"], b"", 3)):
            execution = subject.engine.execute(container, argv)
            said = b"".join(chunk for stream, chunk in execution.read() if stream is OutputStream.STDOUT)
            while (found := execution.status()) is None:
                continue
            assert (said, found) == (output, status)

    def test_a_container_runs_from_its_start_to_its_stop(self, subject: Subject, mark: str) -> None:
        container = subject.engine.create_container(self.container(subject, mark))

        def seen() -> tuple[bool, bool, bool]:
            (found,) = subject.engine.containers({LABEL: mark})
            return subject.engine.is_running(container), found.running, found.never_started

        assert seen() == (False, False, True)
        subject.engine.start(container)
        assert seen() == (True, True, False)
        subject.engine.stop(container, 0)
        assert seen() == (False, False, False)

    def test_removing_takes_a_running_container_and_what_is_gone_is_no_error(self, subject: Subject, mark: str) -> None:
        container = subject.engine.create_container(self.container(subject, mark))
        subject.engine.start(container)
        subject.engine.remove_container(container)
        subject.engine.remove_container(container)
        assert subject.engine.wait_removed(container, 5)
        assert subject.engine.containers({LABEL: mark}) == ()

    def test_what_is_not_there_is_an_engine_error(self, subject: Subject) -> None:
        missing = "0" * 64
        for call in (subject.engine.start, subject.engine.is_running, subject.engine.attach):
            with pytest.raises(EngineError):
                call(missing)

    def test_the_engines_events_name_the_container_by_its_labels(self, subject: Subject, mark: str) -> None:
        feed = subject.engine.events({LABEL: mark})
        container = subject.engine.create_container(self.container(subject, mark))
        subject.engine.start(container)
        subject.engine.remove_container(container)
        seen: list[str] = []
        for event in feed.read():
            assert event.labels["ingress-testbed.container"] == "subject"
            seen.append(event.action)
            if event.action == "die":
                assert event.labels["exitCode"] == "137"
                break
        feed.close()
        assert seen.index("start") < seen.index("die")
