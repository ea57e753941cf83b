"""One entry for every request: token, route, answer; whatever goes wrong becomes a Status."""

from __future__ import annotations

import hmac
import sys
import traceback

from aiohttp import web

from controlplane.api import deleting, discovery, openapi, openapi_v2, subresources, writing
from controlplane.api.negotiation import negotiate
from controlplane.api.paths import Target, parse_target
from controlplane.api.queries import read_flag, read_version
from controlplane.api.reading import answer_json, answer_list, answer_object, check_reachable
from controlplane.api.watching import answer_watch
from controlplane.cluster import Cluster
from controlplane.errors import StatusError, internal, method_not_allowed, unauthorized
from controlplane.kinds.registry import by_stored

VERBS = {
    "GET": {"get", "list", "watch"},
    "POST": {"create"},
    "PUT": {"update"},
    "PATCH": {"patch"},
    "DELETE": {"delete", "deletecollection"},
}


class ApiServer:
    """Answers requests of one listener; `token` None lets everybody in."""

    def __init__(self, *, cluster: Cluster, token: str | None) -> None:
        self._cluster = cluster
        self._expected = None if token is None else f"Bearer {token}".encode()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The handler for `aiohttp.web.Server`."""
        try:
            if request.path in discovery.HEALTH:
                verbose = "verbose" in request.query
                return web.Response(text=discovery.render_health(request.path) if verbose else "ok")
            self._authenticate(request)
            return await self._route(request)
        except StatusError as error:
            return answer_json(error.render(), error.code, headers=dict(error.headers))
        except Exception as error:  # noqa: BLE001 - the outermost border: a bug must become a 500 and a trace, not a dropped connection
            sys.stderr.write(f"{request.method} {request.path_qs}\n{traceback.format_exc()}")
            failure = internal(f"{type(error).__name__}: {error}")
            return answer_json(failure.render(), failure.code)

    def _authenticate(self, request: web.BaseRequest) -> None:
        if self._expected is None:
            return
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, self._expected):
            raise unauthorized()

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        parts = [part for part in request.path.split("/") if part]
        if request.method == "GET" and (found := self._answer_about_api(request, parts)) is not None:
            return found
        target = parse_target(request.path)
        match target.subresource:
            case "scale":
                return await subresources.scale(self._cluster, target, request)
            case "binding":
                return await subresources.bind(self._cluster, target, request)
            case "eviction":
                return await subresources.evict(self._cluster, target, request)
        return await self._answer_resource(target, request)

    def _answer_about_api(self, request: web.BaseRequest, parts: list[str]) -> web.Response | None:
        match parts:
            case []:
                return answer_json(discovery.render_paths())
            case ["apis", "apiextensions.k8s.io", "v1", "customresourcedefinitions"] if not read_flag(request.query, "watch"):
                return answer_json(discovery.render_definitions())
            case ["version"]:
                return answer_json(discovery.VERSION)
            case ["api" | "apis"]:
                return _answer_discovery(request, is_core=parts[0] == "api")
            case ["api", version]:
                return answer_json(discovery.render_resources("", version))
            case ["apis", group]:
                return answer_json(discovery.render_group(group))
            case ["apis", group, version]:
                return answer_json(discovery.render_resources(group, version))
            case ["openapi", "v2"]:
                return _answer_openapi_v2(request)
            case ["openapi", "v3"]:
                return answer_json(openapi.render_index())
            case ["openapi", "v3", *place]:
                return answer_json(openapi.render_document("/".join(place)))
            case ["api" | "apis", *_]:
                return None
        # Who asks for what is not there is told what is.
        return answer_json(discovery.render_paths(), 404)

    async def _answer_resource(self, target: Target, request: web.BaseRequest) -> web.StreamResponse:
        cluster, query = self._cluster, request.query
        if not VERBS.get(request.method, set()).intersection(target.resource.verbs):
            raise method_not_allowed()
        match request.method:
            case "GET" if read_flag(query, "watch"):
                return await answer_watch(cluster, target, request)
            case "GET" if target.name:
                check_reachable(cluster, read_version(query))
                item = cluster.get(by_stored(target.resource.stored), target.key)
                return answer_object(cluster, target.resource, item, accept=request.headers.get("Accept", ""), query=query)
            case "GET":
                return answer_list(cluster, target, accept=request.headers.get("Accept", ""), query=query)
            case "POST" if not target.name and (target.namespace is not None or not target.resource.is_namespaced):
                return await writing.create(cluster, target, request)
            case "PUT" if target.name:
                return await writing.replace(cluster, target, request)
            case "PATCH" if target.name:
                return await writing.patch(cluster, target, request)
            case "DELETE" if target.name and not target.subresource:
                return await deleting.delete(cluster, target, request)
            case "DELETE" if not target.name:
                return await deleting.delete_collection(cluster, target, request)
        raise method_not_allowed()


def _answer_openapi_v2(request: web.BaseRequest) -> web.Response:
    if openapi_v2.PROTOBUF in request.headers.get("Accept", ""):
        return web.Response(body=openapi_v2.encode_document(), content_type=f"{openapi_v2.PROTOBUF}.v1.0+protobuf")
    return answer_json(openapi_v2.render_document())


def _answer_discovery(request: web.BaseRequest, *, is_core: bool) -> web.Response:
    form = negotiate(request.headers.get("Accept", ""), supported=discovery.AGGREGATED)
    if not form.representation:
        return answer_json(discovery.render_legacy_versions() if is_core else discovery.render_groups())
    response = answer_json(discovery.render_aggregated(is_core, form.version))
    response.headers["Content-Type"] = f"application/json;g=apidiscovery.k8s.io;v={form.version};as=APIGroupDiscoveryList"
    return response
