"""Requests and where Ingress' rules send them: one table, held against the pure routing and against a real HAProxy.

Sources, by row: [P] Kubernetes docs, "Ingress", path types and their examples; [M] multiple matches; [H] hostname wildcards;
[D] default backend; [R] API reference of IngressRule; [T] TLS. `Case.goes_to` is the Service's name, a status, or `tls` for a
handshake that is refused.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    world: str
    host: str
    path: str
    goes_to: str
    scheme: str = "http"
    certificate: str | None = None
    """Common name of the certificate that the client is shown."""


def path(text: str, service: str, path_type: str = "Prefix", port: object = None) -> dict:
    port = {"number": 80} if port is None else port
    return {"path": text, "pathType": path_type, "backend": {"service": {"name": service, "port": port}}}


def rule(host: str | None, *paths: dict) -> dict:
    return ({"host": host} if host else {}) | ({"http": {"paths": list(paths)}} if paths else {})


def ingress(
    name: str, *rules: dict, age: int = 5, default: str | None = None, tls: tuple = (), namespace: str = "default"
) -> dict:
    """`age`: larger is older."""
    spec: dict = {"rules": list(rules), "tls": [{"hosts": list(hosts), "secretName": secret} for secret, hosts in tls]}
    if default:
        spec["defaultBackend"] = {"service": {"name": default, "port": {"name": "http"}}}
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "resourceVersion": "7"}
    return {"metadata": metadata | {"creationTimestamp": f"2026-01-01T00:00:{59 - age:02}Z"}, "spec": spec}


def service(name: str, *, namespace: str = "default", node_port: int | None = 30080, **spec: object) -> dict:
    port = {"name": "http", "port": 80, "protocol": "TCP"} | ({"nodePort": node_port} if node_port else {})
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"type": "NodePort", "ports": [port], **spec}}


WORLDS: dict[str, list[dict]] = {
    "hosts": [
        ingress(
            "paths",
            rule(
                "paths.example.org",
                path("/exact", "exact", "Exact"),
                path("/slash/", "slash", "Exact"),
                path("/foo", "foo"),
                path("/foo/bar", "foobar"),
                path("/foo/bar", "foobar-exact", "Exact"),
                path("/trail/", "trail"),
                path("/impl", "impl", "ImplementationSpecific"),
                path("/aaa/bbb", "bbb"),
                path("/named", "named", port={"name": "http"}),
                path("/a%20b", "encoded"),
            ),
        ),
        ingress("root", rule("root.example.org", path("/", "root"), path("/api", "api"), path("/", "root-exact", "Exact"))),
        ingress(
            "wild",
            rule("*.wild.example.org", path("/", "wild")),
            rule("one.wild.example.org", path("/only", "only")),
            rule("Upper.Example.ORG", path("/", "upper")),
            tls=(("wild-tls", ("*.wild.example.org",)), ("one-tls", ("one.wild.example.org",))),
        ),
        ingress("tls", rule("tls.example.org", path("/", "secure")), tls=(("tls-tls", ("tls.example.org", "also.example.org")),)),
        ingress("elsewhere", rule("elsewhere.example.org", path("/", "foo")), namespace="other"),
        ingress("older", rule("shared.example.org", path("/", "older"), path("/mine", "older")), age=9),
        ingress("newer", rule("shared.example.org", path("/", "newer"), path("/yours", "newer")), age=1),
        ingress(
            "bad", rule("bad.example.org", path("/", "missing"), path("/good", "foo")), tls=(("no-tls", ("bad.example.org",)),)
        ),
        ingress("bad-port", rule("bad-port.example.org", path("/", "foo", port={"number": 81}), path("/good", "foo"))),
    ],
    "default": [
        ingress("backend-only", default="fallback", tls=(("fallback-tls", ()),)),
        ingress("hostless", rule(None, path("/any", "any"), path("/any/exact", "any-exact", "Exact"))),
        ingress(
            "hosted",
            rule("host.example.org", path("/app", "app"), path("/any/deep", "deep")),
            rule("bare.example.org"),
            default="fallback-two",
            age=1,
        ),
        ingress("secured", rule("host.example.org", path("/secure", "secure")), tls=(("host-tls", ("host.example.org",)),)),
    ],
    "nothing": [ingress("one", rule("one.example.org", path("/", "foo")))],
    "broken": [ingress("lost", rule("one.example.org", path("/", "foo")), rule("bare.example.org"), default="missing")],
}

SERVICES = sorted(
    {
        entry["backend"]["service"]["name"]
        for objects in WORLDS.values()
        for item in objects
        for entries in item["spec"]["rules"]
        for entry in entries.get("http", {}).get("paths", ())
    }
    - {"missing"}
    | {"fallback", "fallback-two"}
)
CERTIFICATES = {
    "wild-tls": ("*.wild.example.org",),
    "one-tls": ("one.wild.example.org",),
    "tls-tls": ("tls.example.org", "also.example.org"),
    "fallback-tls": ("fallback.example.org",),
    "host-tls": ("host.example.org",),
}
"""Secret -> names of its certificate; the first is the common name."""

P, R, W, T = "paths.example.org", "root.example.org", "wild.example.org", "tls.example.org"
CASES: tuple[Case, ...] = (
    # Exact [P]: the whole path, case and all.
    Case("hosts", P, "/exact", "exact"),
    Case("hosts", P, "/exact/", "404"),
    Case("hosts", P, "/exact/more", "404"),
    Case("hosts", P, "/Exact", "404"),
    Case("hosts", P, "/exac", "404"),
    Case("hosts", P, "/exact?query=1", "exact"),
    Case("hosts", P, "/slash/", "slash"),
    Case("hosts", P, "/slash", "404"),
    # Prefix [P]: element by element.
    Case("hosts", P, "/foo", "foo"),
    Case("hosts", P, "/foo/", "foo"),
    Case("hosts", P, "/foo/x", "foo"),
    Case("hosts", P, "/foo/x/y/z", "foo"),
    Case("hosts", P, "/foobar", "404"),
    Case("hosts", P, "/fo", "404"),
    Case("hosts", P, "/FOO", "404"),
    Case("hosts", P, "/foo?x=/foo/bar", "foo"),
    Case("hosts", P, "/trail/", "trail"),
    Case("hosts", P, "/trail", "trail"),
    Case("hosts", P, "/trail/more", "trail"),
    Case("hosts", P, "/trailer", "404"),
    Case("hosts", P, "/aaa/bb", "404"),
    Case("hosts", P, "/aaa/bbb", "bbb"),
    Case("hosts", P, "/aaa/bbb/", "bbb"),
    Case("hosts", P, "/aaa/bbb/ccc", "bbb"),
    Case("hosts", P, "/aaa/bbbxyz", "404"),
    Case("hosts", P, "/aaa", "404"),
    Case("hosts", P, "/ccc", "404"),
    Case("hosts", P, "/", "404"),
    Case("hosts", P, "/a%20b/c", "encoded"),
    # ImplementationSpecific: as Prefix here.
    Case("hosts", P, "/impl", "impl"),
    Case("hosts", P, "/impl/deep", "impl"),
    Case("hosts", P, "/implement", "404"),
    # Several that match [M]: the longest path, then the exact one.
    Case("hosts", P, "/foo/bar/baz", "foobar"),
    Case("hosts", P, "/foo/bar", "foobar-exact"),
    Case("hosts", P, "/foo/bar/", "foobar"),
    Case("hosts", P, "/foo/barx", "foo"),
    Case("hosts", R, "/", "root-exact"),
    Case("hosts", R, "/anything", "root"),
    Case("hosts", R, "/api", "api"),
    Case("hosts", R, "/api/v1", "api"),
    Case("hosts", R, "/apis", "root"),
    # A port by its name.
    Case("hosts", P, "/named", "named"),
    # Hosts [H], [R]: without port, whatever the case; a wildcard for exactly one label.
    Case("hosts", f"{R}:8080", "/api", "api"),
    Case("hosts", "ROOT.example.org", "/api", "api"),
    Case("hosts", f"{R}.", "/api", "api"),
    Case("hosts", "upper.example.org", "/", "upper"),
    Case("hosts", f"two.{W}", "/", "wild"),
    Case("hosts", f"Two.{W}:80", "/x", "wild"),
    Case("hosts", f"a.b.{W}", "/", "404"),
    Case("hosts", W, "/", "404"),
    Case("hosts", f"one.{W}", "/only", "only"),
    Case("hosts", f"one.{W}", "/other", "wild"),
    Case("hosts", "unknown.example.org", "/foo", "404"),
    Case("hosts", "example.org", "/foo", "404"),
    Case("hosts", "198.18.0.3", "/foo", "404"),
    Case("hosts", "", "/foo", "404"),
    # An older Ingress keeps what it has; the others add to it.
    Case("hosts", "shared.example.org", "/", "older"),
    Case("hosts", "shared.example.org", "/mine", "older"),
    Case("hosts", "shared.example.org", "/yours", "newer"),
    # A rule that cannot be served answers 503 for itself alone; a Service of another namespace cannot be named.
    Case("hosts", "bad.example.org", "/", "503"),
    Case("hosts", "bad.example.org", "/good/x", "foo"),
    Case("hosts", "bad-port.example.org", "/", "503"),
    Case("hosts", "bad-port.example.org", "/good", "foo"),
    Case("hosts", "elsewhere.example.org", "/", "503"),
    # TLS [T]: the certificate of the name, exact before wildcard, and none for others; then routed as plain HTTP is.
    Case("hosts", T, "/", "secure", "https", "tls.example.org"),
    Case("hosts", T, "/deep/er?x", "secure", "https", "tls.example.org"),
    Case("hosts", "also.example.org", "/", "404", "https", "tls.example.org"),
    Case("hosts", f"two.{W}", "/", "wild", "https", "*.wild.example.org"),
    Case("hosts", f"one.{W}", "/only", "only", "https", "one.wild.example.org"),
    Case("hosts", f"a.b.{W}", "/", "tls", "https"),
    Case("hosts", R, "/", "tls", "https"),
    Case("hosts", "bad.example.org", "/good", "tls", "https"),
    Case("hosts", T, "/", "secure"),
    # Rules without a host meet every host; the more specific host comes first [R].
    Case("default", "x.example.org", "/any", "any"),
    Case("default", "x.example.org", "/any/more", "any"),
    Case("default", "x.example.org", "/any/exact", "any-exact"),
    Case("default", "", "/any", "any"),
    Case("default", "198.18.0.3", "/any", "any"),
    Case("default", "host.example.org", "/any", "any"),
    Case("default", "host.example.org", "/any/deep", "deep"),
    Case("default", "host.example.org", "/app/x", "app"),
    Case("default", "x.example.org", "/any/deep", "any"),
    # The default backend [D] gets what nothing matches, and what a rule without paths matches goes to its Ingress' own.
    Case("default", "x.example.org", "/", "fallback"),
    Case("default", "host.example.org", "/", "fallback"),
    Case("default", "host.example.org", "/anyway", "fallback"),
    Case("default", "", "/", "fallback"),
    Case("default", "bare.example.org", "/", "fallback-two"),
    Case("default", "bare.example.org", "/deep", "fallback-two"),
    # A TLS entry without hosts is for every name that no other entry has.
    Case("default", "host.example.org", "/secure", "secure", "https", "host.example.org"),
    Case("default", "x.example.org", "/any", "any", "https", "fallback.example.org"),
    Case("default", "x.example.org", "/", "fallback", "https", "fallback.example.org"),
    # Without any TLS entry nobody gets TLS.
    Case("nothing", "one.example.org", "/", "foo"),
    Case("nothing", "two.example.org", "/", "404"),
    Case("nothing", "one.example.org", "/", "tls", "https"),
    # A default backend that cannot be served is no absence of one: whoever is sent there is told so.
    Case("broken", "one.example.org", "/", "foo"),
    Case("broken", "x.example.org", "/", "503"),
    Case("broken", "bare.example.org", "/", "503"),
    Case("broken", "", "/any", "503"),
)
