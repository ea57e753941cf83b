"""When Ingresses cost a reload, when they do not, and what is told to the API; over a HAProxy in memory."""

import pytest
from test_lb_provisioner import Bench

from ingress_cases import ingress, path, rule, service
from ingress_pki import Authority, tls_secret
from lbagent.api import ApiError
from lbagent.ingress.certificates import read_pair
from lbagent.ingress.reading import read_ingresses
from lbagent.ingress.renewal import COMMAND_LIMIT_BYTES
from lbagent.process import HaproxyError

ENTRY = {"name": "web", "mode": "ingress", "bind": "198.18.0.3:80", "bind_tls": "198.18.0.3:443"}
SHOP = ingress("shop", rule("a.org", path("/", "shop")), tls=(("s", ("a.org",)),))
SERVICES = {"default/shop": service("shop")}
ADDRESS = [{"ip": "198.18.0.3"}]
START = "start web"


class Api:
    """What was written."""

    def __init__(self, acts: list[str]) -> None:
        self.fails = False
        self._acts = acts

    async def patch(self, place, body) -> None:
        if self.fails:
            raise ApiError("away")
        self._acts.append(f"status {place.split('/')[-2]} {body['status']['loadBalancer']['ingress'] == ADDRESS}")

    async def create(self, place, body) -> None:
        assert place == "/api/v1/namespaces/default/events"
        self._acts.append(f"event {body['involvedObject']['name']} {body['reason']}")


class IngressBench(Bench):
    """With an ingress entry and nothing else."""

    async def show(self, *ingresses: dict, secrets: tuple[dict, ...] = (), services: dict | None = None) -> list[str]:
        services = SERVICES if services is None else services
        self.provisioner.on_ingresses(read_ingresses(ingresses, services, secrets), services)
        return await self.again()

    def files(self) -> list[str]:
        return sorted(file.suffix for file in self.paths.ingress.iterdir())


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def bench(tmp_path):
    bench = IngressBench(tmp_path, frontends=[ENTRY])
    bench.api = Api(bench.acts)
    await bench.provisioner.start()
    await bench.provision(*SERVICES.values())
    return bench


def told(item: dict) -> dict:
    return {**item, "status": {"loadBalancer": {"ingress": ADDRESS}}}


async def test_ingress_is_told_when_haproxy_listens_and_then_needs_nothing_more(bench, authority):
    secrets = (authority.secret("s", "a.org"),)
    assert await bench.show(SHOP, secrets=secrets) == [START, "status shop True"]
    assert bench.files() == [".crt-list", ".map", ".map", ".pem"]
    assert await bench.show(told(SHOP), secrets=secrets) == []


async def test_renewed_certificate_is_replaced_at_run_time(bench, authority):
    await bench.show(told(SHOP), secrets=(authority.secret("s", "a.org"),))
    assert await bench.show(told(SHOP), secrets=(authority.secret("s", "a.org"),)) == []
    ((file, pem),) = bench.runtime.certificates.items()
    assert file == f"{bench.paths.ingress}/default:s.pem"
    assert pem.split() == (bench.paths.ingress / "default:s.pem").read_text().split()


@pytest.mark.parametrize("refusing", ["set", "commit"])
async def test_certificate_that_haproxy_does_not_take_at_run_time_comes_by_a_reload(bench, authority, refusing):
    await bench.show(told(SHOP), secrets=(authority.secret("s", "a.org"),))
    bench.runtime.refusing = refusing
    renewed = authority.secret("s", "a.org")
    assert await bench.show(told(SHOP), secrets=(renewed,)) == [START]
    assert bench.runtime.offered == {}, "a transaction left open would bar every other"
    assert (bench.paths.ingress / "default:s.pem").read_text() == read_pair(renewed)
    assert await bench.show(told(SHOP), secrets=(renewed,)) == []


async def test_certificate_that_fits_into_no_command_is_not_offered_but_reloaded(bench, authority):
    await bench.show(told(SHOP), secrets=(authority.secret("s", "a.org"),))
    asked = len(bench.runtime.asked)
    certificate, key = authority.issue("a.org")
    long = tls_secret("s", certificate + 60 * authority.pem, key)
    assert len(read_pair(long)) > COMMAND_LIMIT_BYTES
    assert await bench.show(told(SHOP), secrets=(long,)) == [START]
    assert not [line for line in bench.runtime.asked[asked:] if "ssl cert" in line]


async def test_certificate_renewed_in_the_moment_of_a_refusal_reaches_haproxy(bench, authority):
    secrets = (authority.secret("s", "a.org"),)
    await bench.show(told(SHOP), secrets=secrets)
    bench.process.refused = "default:odd"
    odd = ingress("odd", rule("b.org", path("/", "odd")))
    services = SERVICES | {"default/odd": service("odd")}
    renewed = (authority.secret("s", "a.org"),)
    assert await bench.show(told(SHOP), odd, secrets=renewed, services=services) == []
    assert await bench.again() == [START, "event odd RefusedByHaproxy"], "the disk has it, what runs has not"
    assert await bench.again() == []


async def test_reload_that_fails_is_tried_again(bench, authority):
    bench.process.fails = True
    with pytest.raises(HaproxyError):
        await bench.show(SHOP, secrets=(authority.secret("s", "a.org"),))
    bench.process.fails = False
    assert await bench.again() == [START, "status shop True"]


async def test_other_path_is_a_reload_and_the_old_maps_go(bench, authority):
    secrets = (authority.secret("s", "a.org"),)
    await bench.show(told(SHOP), secrets=secrets)
    other = ingress("shop", rule("a.org", path("/b", "shop")), tls=(("s", ("a.org",)),))
    assert await bench.show(told(other), secrets=secrets) == [START]
    assert bench.files() == [".crt-list", ".map", ".map", ".pem"]


async def test_broken_ingress_is_told_once_and_costs_the_good_one_nothing(bench, authority):
    secrets = (authority.secret("s", "a.org"),)
    await bench.show(told(SHOP), secrets=secrets)
    broken = told(ingress("broken", rule(None, path("/x", "absent"))))
    assert await bench.show(told(SHOP), broken, secrets=secrets) == [START, "event broken ServiceNotFound"]
    assert await bench.show(told(SHOP), broken, secrets=secrets) == []
    assert "web:default:shop:80" in bench.paths.config.read_text()


async def test_secret_that_goes_takes_its_certificate_along(bench, authority):
    await bench.show(told(SHOP), secrets=(authority.secret("s", "a.org"),))
    assert await bench.show(told(SHOP)) == [START, "event shop SecretNotFound"]
    assert ".pem" not in bench.files()


async def test_last_ingress_leaves_neither_frontend_nor_file(bench, authority):
    await bench.show(told(SHOP), secrets=(authority.secret("s", "a.org"),))
    assert await bench.show() == ["start "]
    assert bench.files() == []
    assert "web" not in bench.paths.config.read_text()


async def test_agent_that_takes_over_waits_until_ingresses_are_known(bench, authority):
    secrets = (authority.secret("s", "a.org"),)
    await bench.show(told(SHOP), secrets=secrets)
    bench.take_over()
    assert await bench.provision(*SERVICES.values()) == [], "what its predecessor serves stays"
    assert await bench.show(told(SHOP), secrets=secrets) == []
    assert [backend.name for backend in bench.reconciler.backends] == ["web:default:shop:80"]


async def test_what_could_not_be_told_is_told_at_the_next_attempt(bench):
    bench.api.fails = True
    with pytest.raises(ApiError):
        await bench.show(SHOP)
    bench.api.fails = False
    assert await bench.again() == ["status shop True", "event shop SecretNotFound"]


async def test_ingress_that_haproxy_refuses_is_told_so_and_keeps_no_other_from_being_served(bench, authority):
    secrets = (authority.secret("s", "a.org"), authority.secret("t", "b.org"))
    bench.process.refused = "default:odd"
    services = SERVICES | {"default/odd": service("odd")}
    odd = ingress("odd", rule("b.org", path("/", "odd"), path("/shop", "shop")), tls=(("t", ("b.org",)),))
    assert await bench.show(SHOP, odd, secrets=secrets, services=services) == []
    assert await bench.again() == [START, "status shop True", "event odd RefusedByHaproxy"]
    assert "default:t.pem" not in [file.name for file in bench.paths.ingress.iterdir()], "nothing of it is left"
    assert await bench.show(told(SHOP), odd, secrets=secrets, services=services) == []
    bench.process.refused = ""
    changed = ingress("odd", rule("c.org", path("/", "odd")))
    assert await bench.show(told(SHOP), changed, secrets=secrets, services=services) == [START, "status odd True"]
