"""JSON patches of requests: decoded and applied, refused with the API server's status for each way of being wrong."""

from __future__ import annotations

from typing import Any

from controlplane.errors import bad_request, too_large, unusable_patch
from controlplane.patching.json_patch import (
    MalformedPatchError,
    PatchError,
    TooManyOperationsError,
    apply_json_patch,
    decode_json_patch,
)


def apply_json(before: Any, body: Any, *, validation: str = "Warn") -> Any:
    """The patched tree; `validation` is the request's fieldValidation. Raises StatusError 400, 413 or 422.

    Source: apiserver, endpoints/handlers/patch.go, applyJSPatch.
    """
    try:
        return apply_json_patch(before, decode_json_patch(body, is_lax=validation == "Ignore"))
    except MalformedPatchError as error:
        raise bad_request(str(error)) from error
    except TooManyOperationsError as error:
        raise too_large(str(error)) from error
    except PatchError as error:
        raise unusable_patch(str(error)) from error
