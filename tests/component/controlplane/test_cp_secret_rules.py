"""What a Secret of a known type holds, and what stays of one that is immutable (core/validation, ValidateSecret)."""

import base64

import pytest
from cp_world import World
from test_cp_rules import causes, change_causes

from controlplane.objects import Object


def secret(kind: str, **data: str) -> Object:
    encoded = {key.replace("_", "."): base64.b64encode(text.encode()).decode() for key, text in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "type": kind, "data": encoded}


REDACTED = 'data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": '


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (secret("example.com/own"), []),
        (secret("kubernetes.io/basic-auth"), ["data[username]: Required value", "data[password]: Required value"]),
        (secret("kubernetes.io/basic-auth", password=""), []),
        (secret("kubernetes.io/ssh-auth"), ["data[ssh-privatekey]: Required value"]),
        (secret("kubernetes.io/tls"), ["data[tls.crt]: Required value", "data[tls.key]: Required value"]),
        (secret("kubernetes.io/tls", tls_crt="", tls_key=""), []),
        (secret("kubernetes.io/dockercfg"), ["data[.dockercfg]: Required value"]),
        (secret("kubernetes.io/dockerconfigjson", _dockerconfigjson="{}"), []),
        (
            secret("kubernetes.io/dockerconfigjson", _dockerconfigjson="x"),
            [REDACTED + "invalid character 'x' looking for beginning of value"],
        ),
        (
            secret("kubernetes.io/dockerconfigjson", _dockerconfigjson="[]"),
            [REDACTED + "json: cannot unmarshal array into Go value of type map[string]interface {}"],
        ),
        (
            secret("kubernetes.io/service-account-token"),
            ["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
        ),
    ],
)
def test_secret_holds_what_its_type_says(raw: Object, expected: list[str]) -> None:
    assert causes(World(), raw) == expected


def test_immutable_stays_and_so_does_all_of_its_data() -> None:
    world = World()
    head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    world.create({**head, "data": {"a": "b"}, "immutable": True})
    why = "Forbidden: field is immutable when `immutable` is set"
    assert change_causes(world, "configmaps", "c", {"immutable": False}) == [f"immutable: {why}"]
    assert change_causes(world, "configmaps", "c", {"data": {"a": "c"}, "binaryData": {"x": "YQ=="}}) == [
        f"data: {why}",
        f"binaryData: {why}",
    ]
    world.change("configmaps", "c", {"metadata": {"labels": {"a": "b"}}})
