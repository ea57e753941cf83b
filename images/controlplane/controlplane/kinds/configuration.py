"""Secret, ConfigMap and Namespace (core/v1)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator

from controlplane.field_errors import FieldError, forbidden_field, invalid_value, required, too_long
from controlplane.kinds.columns import AGE, NAME
from controlplane.kinds.names import check_config_key
from controlplane.kinds.resource import Column, Resource
from controlplane.objects import Object, annotations_of, status_of
from controlplane.schema.meta import CONDITIONS, kind
from controlplane.schema.types import BOOL, BYTES_MAP, STRING, STRING_MAP, STRING_SET, struct

SECRET = kind("Secret", data=BYTES_MAP, stringData=STRING_MAP, type=STRING, immutable=BOOL)
SIZE_LIMIT_BYTES = 1024 * 1024
"""core/v1 MaxSecretSize."""
TLS_KEYS, BASIC_KEYS, SSH_KEY = ("tls.crt", "tls.key"), ("username", "password"), "ssh-privatekey"
DOCKER_KEYS = {"kubernetes.io/dockercfg": ".dockercfg", "kubernetes.io/dockerconfigjson": ".dockerconfigjson"}
SERVICE_ACCOUNT_TOKEN, SERVICE_ACCOUNT_NAME = "kubernetes.io/service-account-token", "kubernetes.io/service-account.name"
IMMUTABLE = "field is immutable when `immutable` is set"


def default_secret(secret: Object) -> None:
    secret.setdefault("type", "Opaque")
    # stringData is for writing only: it is merged into data.
    if plain := secret.pop("stringData", None):
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
        secret["data"] = {**(secret.get("data") or {}), **encoded}


def check_secret(secret: Object, before: Object | None) -> Iterable[FieldError]:
    content = secret.get("data") or {}
    for key in content:
        yield from check_config_key(key, f"data[{key}]")
    if sum(len(base64.b64decode(value)) for value in content.values()) > SIZE_LIMIT_BYTES:
        yield too_long("data", SIZE_LIMIT_BYTES)
    yield from _check_type(secret, content)
    if before is not None:
        if before.get("type") != secret["type"]:
            yield invalid_value("type", secret["type"], "field is immutable")
        yield from _check_immutable(secret, before)


def _check_type(secret: Object, content: Object) -> Iterator[FieldError]:
    """What a Secret of a known type holds (core/validation, ValidateSecret)."""
    kind_ = secret["type"]
    if kind_ == SERVICE_ACCOUNT_TOKEN and not annotations_of(secret).get(SERVICE_ACCOUNT_NAME):
        yield required(f"metadata.annotations[{SERVICE_ACCOUNT_NAME}]")
    if (key := DOCKER_KEYS.get(kind_)) is not None:
        if key not in content:
            yield required(f"data[{key}]")
        elif (why := _why_no_object(base64.b64decode(content[key]))) is not None:
            yield invalid_value(f"data[{key}]", "<secret contents redacted>", why)
    if kind_ == "kubernetes.io/basic-auth" and not content.keys() & set(BASIC_KEYS):
        yield from (required(f"data[{key}]") for key in BASIC_KEYS)
    if kind_ == "kubernetes.io/ssh-auth" and not content.get(SSH_KEY):
        yield required(f"data[{SSH_KEY}]")
    if kind_ == "kubernetes.io/tls":
        yield from (required(f"data[{key}]") for key in TLS_KEYS if key not in content)


def _why_no_object(text: bytes) -> str | None:
    """In the words of Go's decoder, as far as one byte tells."""
    try:
        value = json.loads(text)
    except ValueError:
        found = text.strip()
        if not found:
            return "unexpected end of JSON input"
        return f"invalid character {chr(found[0])!r} looking for beginning of value"
    if isinstance(value, dict):
        return None
    names = {list: "array", str: "string", bool: "bool"}
    return f"json: cannot unmarshal {names.get(type(value), 'number')} into Go value of type map[string]interface {{}}"


def _check_immutable(item: Object, before: Object) -> Iterator[FieldError]:
    if not before.get("immutable"):
        return
    if not item.get("immutable"):
        yield forbidden_field("immutable", IMMUTABLE)
    for name in ("data", "binaryData"):
        if (before.get(name) or {}) != (item.get(name) or {}):
            yield forbidden_field(name, IMMUTABLE)


def check_config_map(item: Object, before: Object | None) -> Iterable[FieldError]:
    binary = item.get("binaryData") or {}
    for key in item.get("data") or {}:
        yield from check_config_key(key, f"data[{key}]")
        if key in binary:
            yield invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData")
    for key in binary:
        yield from check_config_key(key, f"binaryData[{key}]")
    texts = sum(len(text.encode()) for text in (item.get("data") or {}).values())
    if texts + sum(len(base64.b64decode(value)) for value in binary.values()) > SIZE_LIMIT_BYTES:
        yield too_long("[]", SIZE_LIMIT_BYTES)
    if before is not None:
        yield from _check_immutable(item, before)


SECRETS = Resource(
    kind="Secret",
    plural="secrets",
    schema=SECRET,
    selectable={"type": ""},
    default=default_secret,
    validate=check_secret,
    columns=(
        NAME,
        Column(name="Type", cell=lambda item, _: item.get("type", "")),
        Column(name="Data", cell=lambda item, _: len(item.get("data") or {})),
        AGE,
    ),
)
CONFIG_MAPS = Resource(
    kind="ConfigMap",
    plural="configmaps",
    short_names=("cm",),
    schema=kind("ConfigMap", data=STRING_MAP, binaryData=BYTES_MAP, immutable=BOOL),
    validate=check_config_map,
    columns=(
        NAME,
        Column(name="Data", cell=lambda item, _: len(item.get("data") or {}) + len(item.get("binaryData") or {})),
        AGE,
    ),
)

NAMESPACE = kind(
    "Namespace",
    spec=struct("NamespaceSpec", finalizers=STRING_SET),
    status=struct("NamespaceStatus", phase=STRING, conditions=CONDITIONS),
)


def default_namespace(namespace: Object) -> None:
    # Selectors of namespaces go by labels only (registry/core/namespace, NamespaceDefaultLabelName).
    labels = namespace["metadata"].setdefault("labels", {})
    if "name" in namespace["metadata"]:
        labels["kubernetes.io/metadata.name"] = namespace["metadata"]["name"]


def prepare_namespace(namespace: Object) -> None:
    namespace["spec"] = {"finalizers": ["kubernetes"]}
    namespace["status"] = {"phase": "Active"}


def keep_finalizers(namespace: Object, before: Object) -> None:
    """Of its spec: only the namespace controller lets go of a namespace (registry/core/namespace, PrepareForUpdate)."""
    if "spec" in before:
        namespace["spec"] = before["spec"]


NAMESPACES = Resource(
    kind="Namespace",
    plural="namespaces",
    short_names=("ns",),
    is_namespaced=False,
    schema=NAMESPACE,
    has_status=True,
    selectable={"status.phase": ""},
    default=default_namespace,
    prepare_create=prepare_namespace,
    prepare_update=keep_finalizers,
    name_rule="label",
    columns=(NAME, Column(name="Status", cell=lambda item, _: status_of(item).get("phase", "")), AGE),
)
