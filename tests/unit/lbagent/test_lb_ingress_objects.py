"""What is read from Ingress, Service and Secret objects: complaints about the broken, and everything of the good."""

import base64
import json
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from ingress_cases import ingress, path, rule, service
from ingress_pki import Authority, tls_secret
from lbagent.decoding import SettingsError
from lbagent.frontends import Check
from lbagent.frontends.ingress import IngressEntry, IngressFrontend
from lbagent.frontends.options import TcpOptions
from lbagent.ingress.feed import IngressFeed
from lbagent.ingress.reading import IngressView, read_ingresses
from lbagent.ingress.routing import Target, Unrouted, find_target
from lbagent.render import Paths, render_config
from lbagent.servers import Server
from lbagent.settings import Settings, decode_settings

GOLDEN = Path(__file__).parent / "golden"
PATHS = Paths.under(Path("/run/testbed"))
SERVICES = {
    "default/shop": service("shop"),
    "default/inside": service("inside", node_port=None),
    "default/name": {**service("name"), "spec": {"type": "ExternalName", "externalName": "example.org"}},
}
GOOD = ingress("good", rule("good.example.org", path("/", "shop")), age=9)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def read(*ingresses: dict, secrets: tuple[dict, ...] = ()) -> IngressView:
    return read_ingresses(ingresses, SERVICES, secrets)


@pytest.mark.parametrize(
    ("broken", "reason", "message"),
    [
        (
            rule("a.org", path("/", "absent")),
            "ServiceNotFound",
            "rules[0].http.paths[0].backend: there is no Service default/absent",
        ),
        (
            rule("a.org", path("/", "shop", port={"number": 81})),
            "PortNotFound",
            "Service default/shop has no port 81; it has: http",
        ),
        (rule("a.org", path("/", "inside")), "NoNodePort", "port 80 of Service default/inside has no TCP node port"),
        (rule("a.org", path("/", "name")), "PortNotFound", "Service default/name has no port 80; it has: none"),
        (rule("a.org", path("/a b", "shop")), "InvalidPath", "'/a b' is no path of a request"),
        (rule("a.org", path("/ä", "shop")), "InvalidPath", "'/ä' is no path of a request"),
        (
            rule("good.example.org", path("/", "shop")),
            "PathTaken",
            "default/good, which is older, has Prefix / of host good.example.org",
        ),
        (
            {"host": "a.org", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"resource": {"kind": "X"}}}]}},
            "UnsupportedBackend",
            "a resource cannot be served; allowed: a service",
        ),
    ],
)
def test_broken_rule_is_complained_of_and_the_good_ones_are_served(broken: dict, reason: str, message: str) -> None:
    view = read(ingress("bad", broken, rule("fine.org", path("/", "shop"))), GOOD)
    (complaint,) = view.complaints
    assert (complaint.ingress, complaint.reason) == ("default/bad", reason)
    assert message in complaint.message
    for host in ("good.example.org", "fine.org"):
        assert find_target(view.table, host, "/") == Target(service="default/shop", port=80)
    assert find_target(view.table, "a.org", "/") in (Unrouted.UNAVAILABLE, Unrouted.NOT_FOUND)


def test_secrets_that_cannot_be_used_are_complained_of_and_the_good_ones_serve(authority: Authority) -> None:
    (certificate, key), (other, _) = authority.issue("a.org"), authority.issue("a.org")
    secrets = {
        "good": tls_secret("good", certificate, key),
        "swapped": tls_secret("swapped", other, key),
        "opaque": tls_secret("opaque", certificate, key, kind="Opaque"),
        "empty": {"metadata": {"name": "empty"}, "type": "kubernetes.io/tls", "data": {}},
        "binary": {"metadata": {"name": "binary"}, "type": "kubernetes.io/tls", "data": {"tls.crt": "%", "tls.key": "%"}},
        "garbage": tls_secret("garbage", b"no certificate", key),
    }
    tls = tuple((name, (f"{name}.org",)) for name in (*secrets, "absent"))
    view = read(ingress("tls", rule("a.org", path("/", "shop")), tls=tls), secrets=tuple(secrets.values()))
    assert [item.secret for item in view.certificates] == ["default/good"]
    assert [item.reason for item in view.complaints] == ["InvalidCertificate"] * 5 + ["SecretNotFound"]
    said = " ".join(item.message for item in view.complaints)
    for part in (
        "type is 'Opaque'; allowed: 'kubernetes.io/tls'",
        "it has no tls.crt",
        "tls.crt is not PEM",
        "Secret default/absent",
    ):
        assert part in said
    assert "PRIVATE KEY" not in said


def test_encrypted_key_is_refused_and_asks_nobody(authority: Authority) -> None:
    from cryptography.hazmat.primitives import serialization

    certificate, key = authority.issue("a.org")
    encrypted = serialization.load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    view = read(
        ingress("tls", rule("a.org", path("/", "shop")), tls=(("s", ("a.org",)),)),
        secrets=(tls_secret("s", certificate, encrypted),),
    )
    assert [item.reason for item in view.complaints] == ["InvalidCertificate"]


def test_empty_lines_of_a_certificate_do_not_end_what_the_runtime_api_reads(authority: Authority) -> None:
    certificate, key = authority.issue("a.org")
    spaced = certificate.replace(b"\n", b"\r\n\r\n")
    view = read(ingress("tls", default="shop", tls=(("s", ("a.org",)),)), secrets=(tls_secret("s", spaced, key),))
    assert view.certificates[0].pem == (certificate + key).decode()


def test_host_keeps_the_certificate_of_the_older_ingress(authority: Authority) -> None:
    secrets = tuple(authority.secret(name, "a.org") for name in ("old", "new"))
    view = read(
        ingress("young", default="shop", age=1, tls=(("new", ("a.org", "b.org")),)),
        ingress("aged", default="shop", age=9, tls=(("old", ("a.org",)),)),
        secrets=secrets,
    )
    assert {item.secret: item.names for item in view.certificates} == {"default/old": ("a.org",), "default/new": ("b.org",)}
    assert [(item.ingress, item.reason) for item in view.complaints] == [
        ("default/young", "DefaultBackendTaken"),
        ("default/young", "HostTaken"),
    ]


def test_ingress_on_its_way_out_is_not_served() -> None:
    leaving = {**GOOD, "metadata": GOOD["metadata"] | {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert read(leaving).ingresses == {}


def test_nothing_is_concluded_before_everything_is_known() -> None:
    views: list[IngressView] = []
    feed = IngressFeed(lambda view, _: views.append(view))
    feed.on_ingresses([GOOD])
    feed.on_secrets([])
    feed.on_classes([])
    assert views == []
    feed.on_services(SERVICES)
    assert [list(view.ingresses) for view in views] == [["default/good"]]
    feed.on_ingresses([])
    assert views[-1].ingresses == {}


def frontend(authority_pem: tuple[bytes, bytes], **options: object) -> IngressFrontend:
    secrets = tuple(tls_secret(name, *authority_pem) for name in ("good-tls", "any-tls"))
    view = read(
        ingress(
            "shop",
            rule("good.example.org", path("/", "shop"), path("/exact", "shop", "Exact"), path("/gone", "absent")),
            rule("*.good.example.org", path("/", "shop")),
            default="shop",
            tls=(("good-tls", ("good.example.org", "*.good.example.org")), ("any-tls", ())),
        ),
        secrets=secrets,
    )
    entry = IngressEntry(name="web", bind="198.18.0.3:80", bind_tls="198.18.0.3:443", options=TcpOptions(**options))  # type: ignore[arg-type]
    return IngressFrontend(entry=entry, view=view, directory=PATHS.ingress, checks={})


def test_what_only_a_proxy_of_requests_can_do_reaches_the_configuration(authority: Authority) -> None:
    options = {"observe": "layer7", "retry_on": "conn-failure empty-response 503", "retries": 2}
    text = frontend(authority.issue("good.example.org"), **options).render({})
    assert "    retries 2\n    retry-on conn-failure empty-response 503\n" in text
    (backend,) = frontend(authority.issue("good.example.org"), **options).backends()
    assert " observe layer7 error-limit 10 on-error fail-check" in " ".join(backend.server_options)


def test_a_working_rule_is_not_taken_down_by_an_older_one_that_does_not_work() -> None:
    older = ingress("older", rule("a.org", path("/", "absent")), age=9)
    view = read(older, ingress("newer", rule("a.org", path("/", "shop")), age=1))
    assert find_target(view.table, "a.org", "/") == Target(service="default/shop", port=80)
    assert [(item.ingress, item.reason) for item in view.complaints] == [("default/older", "ServiceNotFound")]


def test_a_rule_without_paths_goes_to_the_default_backend_whosever_it_is() -> None:
    everything = {**ingress("everything", age=9)}
    everything["spec"] = {"defaultBackend": {"service": {"name": "shop", "port": {"number": 80}}}}
    view = read(everything, ingress("bare", {"host": "a.org"}, age=1))
    assert find_target(view.table, "a.org", "/") == Target(service="default/shop", port=80)
    assert view.complaints == ()


def test_a_default_backend_that_cannot_be_served_is_nobodys_who_has_one_that_can() -> None:
    broken, working = ingress("broken", age=9), ingress("working", age=1)
    broken["spec"] = {"defaultBackend": {"service": {"name": "absent", "port": {"number": 80}}}}
    working["spec"] = {"defaultBackend": {"service": {"name": "shop", "port": {"number": 80}}}}
    view = read(broken, working)
    assert find_target(view.table, "any.org", "/") == Target(service="default/shop", port=80)
    assert [(item.ingress, item.reason) for item in view.complaints] == [("default/broken", "ServiceNotFound")]


def test_haproxy_cfg_maps_and_certificate_list_are_as_in_the_golden_file(authority: Authority) -> None:
    served = frontend(authority.issue("good.example.org"), inter_ms=500, fall=2)
    settings = Settings(container="lb", api_url="", token="", public_ip=IPv4Address("198.18.0.3"), frontends=())
    servers = {"web:default:shop:80": (Server(name="node-1", address=IPv4Address("10.100.0.2"), port=30080),)}
    text = render_config(settings, PATHS, [served], servers)
    for file, content in sorted(served.files().items()):
        if file.suffix != ".pem":
            text += f"\n# {file}\n{content}"
    golden = GOLDEN / "ingress.cfg"
    assert text == golden.read_text()
    assert sorted(file.name for file in served.files() if file.suffix == ".pem") == [
        "default:any-tls.pem",
        "default:good-tls.pem",
    ]


def test_other_routing_or_names_are_another_configuration_and_a_renewed_certificate_is_not(authority: Authority) -> None:
    first, renewed = (frontend(authority.issue("good.example.org")) for _ in range(2))
    assert first.render({}) == renewed.render({})
    assert first.files() != renewed.files()
    bare = IngressFrontend(entry=first.entry, view=read(GOOD), directory=PATHS.ingress, checks={})
    assert bare.render({}) != first.render({})
    assert "strict-sni" in bare.render({})
    assert "http-request return status 404" in bare.render({})


def test_service_with_a_health_check_port_is_asked_there_unless_the_settings_say_otherwise(authority: Authority) -> None:
    checks = {"default/shop": Check.HEALTH_CHECK_NODE_PORT}
    view = read(GOOD)
    for chosen, expected in ((None, Check.HEALTH_CHECK_NODE_PORT), (Check.TCP, Check.TCP)):
        entry = IngressEntry(name="web", bind="198.18.0.3:80", bind_tls=None, options=TcpOptions(check=chosen))
        (backend,) = IngressFrontend(entry=entry, view=view, directory=PATHS.ingress, checks=checks).backends()
        assert (backend.name, backend.port, backend.check) == ("web:default:shop:80", 80, expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bind": None, "bind_tls": None}, "needs bind, bind_tls, or both"),
        ({"bind_tls": "host:443"}, "settings.frontends[0].bind_tls: must be IPv4:port, got 'host:443'"),
        ({"service": "default/x"}, "unknown keys ['service']"),
        ({"name": "a b"}, "settings.frontends[0].name: must consist of letters"),
    ],
)
def test_entry_that_cannot_be_served_is_refused(changes: dict, message: str) -> None:
    entry = {"name": "web", "mode": "ingress", "bind": "198.18.0.3:80"} | changes
    document = {"container": "lb", "settings": {"api_url": "x", "token": "x", "public_ip": "198.18.0.3", "frontends": [entry]}}
    with pytest.raises(SettingsError) as caught:
        decode_settings(json.dumps(document))
    assert message in str(caught.value)


def test_pem_reaches_haproxy_as_it_was_given(authority: Authority) -> None:
    secret = authority.secret("s", "a.org")
    view = read(ingress("i", default="shop", tls=(("s", ("a.org",)),)), secrets=(secret,))
    assert view.certificates[0].pem == "".join(base64.b64decode(secret["data"][part]).decode() for part in ("tls.crt", "tls.key"))


def of_class(name: str | None = None, annotation: str | None = None) -> dict:
    item = ingress("other", rule("other.org", path("/", "shop"), path("/x", "absent")))
    metadata = item["metadata"] | ({"annotations": {"kubernetes.io/ingress.class": annotation}} if annotation else {})
    return {"metadata": metadata, "spec": item["spec"] | ({"ingressClassName": name} if name else {})}


def ingress_class(name: str, controller: str) -> dict:
    return {"metadata": {"name": name}, "spec": {"controller": controller}}


@pytest.mark.parametrize(
    ("item", "is_served"),
    [
        (of_class(), True),
        (of_class("haproxy"), True),
        (of_class(annotation="haproxy"), True),
        (of_class("own"), True),
        (of_class("nginx"), False),
        (of_class("unknown"), False),
        (of_class(annotation="nginx"), False),
        (of_class("nginx", annotation="haproxy"), False),
    ],
)
def test_ingress_of_another_class_is_another_controller_s(item: dict, is_served: bool) -> None:
    classes = [ingress_class("own", "ingress-testbed.io/haproxy"), ingress_class("nginx", "k8s.io/ingress-nginx")]
    view = read_ingresses([item, GOOD], SERVICES, (), classes)
    assert ("default/other" in view.ingresses) is is_served
    assert (find_target(view.table, "other.org", "/") is not Unrouted.NOT_FOUND) is is_served
    assert bool(view.complaints) is is_served, "what is wrong with it is said by its own controller"
    assert find_target(view.table, "good.example.org", "/") == Target(service="default/shop", port=80)


def test_our_class_is_somebody_else_s_where_an_ingress_class_says_so() -> None:
    taken = [ingress_class("haproxy", "haproxy.org/ingress-controller")]
    assert read_ingresses([of_class("haproxy")], SERVICES, (), taken).ingresses == {}


@pytest.mark.parametrize(("default", "status"), [("absent", "503"), (None, "404")])
def test_broken_default_backend_is_unavailable_and_no_absence_of_one(default: str | None, status: str) -> None:
    view = read(ingress("only", rule("a.org", path("/", "shop")), default=default))
    assert str(find_target(view.table, "b.org", "/")) == status
    entry = IngressEntry(name="web", bind="198.18.0.3:80", bind_tls=None, options=TcpOptions())
    frontend = IngressFrontend(entry=entry, view=view, directory=PATHS.ingress, checks={})
    assert f"http-request return status {status} unless {{ var(txn.backend) -m found }}" in frontend.render({})
    assert "default_backend" not in frontend.render({})
