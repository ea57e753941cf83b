"""IPAddress objects follow the cluster IPs, and the ServiceCIDR is held back while there are any."""

from cp_http import serve
from cp_world import World, service

from controlplane.objects import condition

PLACE = "/apis/networking.k8s.io/v1/ipaddresses"
LABELS = {"ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}


def held(world: World) -> dict[str, str]:
    """Address -> name of its Service."""
    return {item["metadata"]["name"]: item["spec"]["parentRef"]["name"] for item in world.store.items("ipaddresses")}


def test_every_cluster_ip_is_an_address_until_its_service_goes() -> None:
    world = World()
    assert held(world) == {"10.3.240.1": "kubernetes"}
    world.create(service("a", clusterIP="10.3.241.5"))
    world.create(service("headless", clusterIP="None"))
    world.create(service("far", type="ExternalName", externalName="example.com", ports=[]))
    assert held(world) == {"10.3.240.1": "kubernetes", "10.3.241.5": "a"}
    found = world.store.find("ipaddresses", "", "10.3.241.5")
    assert found is not None
    assert found["metadata"]["labels"] == LABELS
    assert found["spec"]["parentRef"] == {"group": "", "resource": "services", "namespace": "default", "name": "a"}
    world.delete("services", "a")
    assert held(world) == {"10.3.240.1": "kubernetes"}


def test_address_that_changes_hands_is_a_new_object() -> None:
    world = World()
    world.create(service("a", clusterIP="10.3.241.5"))
    first = world.store.find("ipaddresses", "", "10.3.241.5")
    world.delete("services", "a")
    world.create(service("b", clusterIP="10.3.241.5"))
    second = world.store.find("ipaddresses", "", "10.3.241.5")
    assert first is not None
    assert second is not None
    assert (second["spec"]["parentRef"]["name"], second["metadata"]["uid"] != first["metadata"]["uid"]) == ("b", True)


def test_network_is_ready_and_stays_while_an_address_is_of_it_and_of_no_other() -> None:
    world = World()
    item = world.get("servicecidrs", "kubernetes")
    assert item["metadata"]["finalizers"] == ["networking.k8s.io/service-cidr-finalizer"]
    ready = condition(item, "Ready") or {}
    assert (ready["status"], ready["message"]) == ("True", "Kubernetes Service CIDR is ready")
    world.delete("servicecidrs", "kubernetes")
    item = world.get("servicecidrs", "kubernetes")
    ready = condition(item, "Ready") or {}
    assert item["metadata"]["deletionTimestamp"]
    assert (ready["status"], ready["reason"]) == ("False", "Terminating")
    assert ready["message"].startswith("There are still IPAddresses referencing the ServiceCIDR")


async def test_addresses_can_be_read_and_nothing_else() -> None:
    world = World()
    async with serve(world) as api:
        table_form = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
        status, table = await api.ask("GET", PLACE, headers=table_form)
        assert status == 200
        assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "ParentRef"]
        assert [row["cells"] for row in table["rows"]] == [["10.3.240.1", "services/default/kubernetes"]]
        before = world.store.version
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            place = PLACE if method == "POST" else f"{PLACE}/10.3.240.1"
            status, answer = await api.ask(method, place, {"spec": {}})
            assert (status, answer["reason"]) == (405, "MethodNotAllowed")
        assert world.store.version == before
