"""The table of resource kinds."""

from pathlib import Path

import pytest

from modelops.providers.local.plugin import kinds
from modelops.providers.local.plugin.kinds import KINDS, kind_of_state, kind_of_type

PROCESS = {"ports": {}, "pid": 1, "started": 1.0, "boot": "b", "alive": True, "exit_code": None}
CERTIFICATE = {"fingerprint": "00", "not_after": "2030-01-01T00:00:00+00:00", "exists": True}


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("Process", {**PROCESS, "directory": "/p", "inputs": {}}),
        ("Certificate", {**CERTIFICATE, "directory": "/c"}),
        ("SecretFile", {"path": "/f", "fingerprint": "00", "exists": True}),
        ("Directory", {"path": "/d", "exists": True}),
        ("Random", {"value": "x", "length": 1}),
    ],
)
def test_a_kind_is_known_by_its_type_and_by_its_outputs(name: str, state: kinds.Values) -> None:
    expected = KINDS[f"modelops:index:{name}"]
    assert kind_of_type(f"modelops:local:Parent$modelops:index:{name}") is expected
    assert kind_of_state(state) is expected


def test_the_resource_of_another_plugin_is_none_of_ours() -> None:
    assert kind_of_state({"bucket": "b"}) is None


def test_a_process_whose_inputs_are_encrypted_is_looked_at_too(tmp_path: Path) -> None:
    encrypted = {"ciphertext": "v1:abc"}
    state = {**PROCESS, "boot": "another", "directory": str(tmp_path), "inputs": encrypted}
    kind = kind_of_state(state)
    assert kind is not None
    assert kind.refreshed(state)["alive"] is False
