"""Every answer of the API that is not a success, as Kubernetes' Status (API conventions, "Response Status Kind").

What is wrong with a single field is data and stands in field_errors.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from controlplane.field_errors import FieldError, invalid_value
from controlplane.objects import Object


class StatusError(Exception):
    """The request fails with this Status."""

    def __init__(
        self, code: int, reason: str, message: str, details: Object | None = None, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.headers = headers

    def render(self) -> Object:
        """The Status object."""
        status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status


def invalid(kind: str, group: str, name: str, errors: Sequence[FieldError]) -> StatusError:
    """422: `<Kind>.<group> "name" is invalid: ...`."""
    texts = list(dict.fromkeys(f"{error.field}: {error.message}" for error in errors))
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    title = f"{kind}.{group}" if group else kind
    details: Object = {"name": name} if name else {}
    if group:
        details["group"] = group
    if kind:
        details["kind"] = kind
    details["causes"] = [{"reason": error.reason, "message": error.message, "field": error.field} for error in errors]
    return StatusError(422, "Invalid", f'{title} "{name}" is invalid: {text}', details)


def _details(group: str, plural: str, name: str) -> Object:
    details: Object = {"name": name}
    if group:
        details["group"] = group
    details["kind"] = plural
    return details


def _qualified(group: str, plural: str) -> str:
    return f"{plural}.{group}" if group else plural


def not_found(group: str, plural: str, name: str) -> StatusError:
    return StatusError(404, "NotFound", f'{_qualified(group, plural)} "{name}" not found', _details(group, plural, name))


def already_exists(group: str, plural: str, name: str) -> StatusError:
    message = f'{_qualified(group, plural)} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, _details(group, plural, name))


CHANGED_MEANWHILE = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(group: str, plural: str, name: str, why: str = CHANGED_MEANWHILE) -> StatusError:
    message = f'Operation cannot be fulfilled on {_qualified(group, plural)} "{name}": {why}'
    return StatusError(409, "Conflict", message, _details(group, plural, name))


def forbidden(group: str, plural: str, name: str, why: str) -> StatusError:
    message = f'{_qualified(group, plural)} "{name}" is forbidden: {why}'
    return StatusError(403, "Forbidden", message, _details(group, plural, name))


def namespace_terminating(group: str, plural: str, name: str, namespace: str) -> StatusError:
    """403, with the cause by which controllers tell it from other refusals."""
    error = forbidden(
        group, plural, name, f"unable to create new content in namespace {namespace} because it is being terminated"
    )
    message = f"namespace {namespace} is being terminated"
    causes = [{"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}]
    error.details = {**_details(group, plural, name), "causes": causes}
    return error


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def unusable_patch(why: str) -> StatusError:
    """422. Kubernetes keeps `why` to itself."""
    # Without name and kind, kubectl prints `The request is invalid` and this.
    return StatusError(422, "Invalid", f"the server rejected our request due to an error in our request: {why}", {})


def undecodable_patch(shown: str, why: str) -> StatusError:
    """422: what a patch makes of the object is none (apiserver, endpoints/handlers/patch.go)."""
    return invalid("", "", "", [invalid_value("patch", shown, why)])


def unauthorized() -> StatusError:
    # RFC 6750 section 3: a 401 names the scheme.
    return StatusError(401, "Unauthorized", "Unauthorized", headers=(("WWW-Authenticate", "Bearer"),))


def unknown_resource() -> StatusError:
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})


def method_not_allowed() -> StatusError:
    return StatusError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def too_large(why: str) -> StatusError:
    return StatusError(413, "RequestEntityTooLarge", f"Request entity too large: {why}")


def too_many_requests(message: str, cause: str, why: str) -> StatusError:
    details: Object = {"causes": [{"reason": cause, "message": why}]}
    return StatusError(429, "TooManyRequests", message, details)


def unsupported_media_type(accepted: Iterable[str], why: str = "") -> StatusError:
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    if why:
        message += f" ({why})"
    return StatusError(415, "UnsupportedMediaType", message)


def unroutable_media_type() -> StatusError:
    """415 of a patch: the router of the API server refuses its type before any handler sees it."""
    return StatusError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})


def unroutable_answer() -> StatusError:
    return StatusError(406, "NotAcceptable", "406: Not Acceptable", {})


def not_acceptable(accepted: Iterable[str]) -> StatusError:
    return StatusError(406, "NotAcceptable", f"only the following media types are accepted: {', '.join(accepted)}")


def expired(version: int, oldest: int) -> StatusError:
    return StatusError(410, "Expired", f"too old resource version: {version} ({oldest})")


def continue_expired() -> StatusError:
    message = (
        "The provided continue parameter is too old to display a consistent list result. "
        "You must start a new list without the continue parameter."
    )
    return StatusError(410, "Expired", message)


def too_large_version(version: int, current: int) -> StatusError:
    message = f"Timeout: Too large resource version: {version}, current: {current}"
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    return StatusError(504, "Timeout", message, {"causes": causes, "retryAfterSeconds": 1})


def unclassified(message: str) -> StatusError:
    """500 without a reason: what the API server answers where an error of its own is not made for the API."""
    return StatusError(500, "", message)


def internal(message: str) -> StatusError:
    return StatusError(500, "InternalError", f"Internal error occurred: {message}", {"causes": [{"message": message}]})
