"""Asking parts: one that hangs holds up nobody, and no reason shows a password."""

from __future__ import annotations

import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from modelops.bundles.access import RegistryAccess
from modelops.contracts import BindingOutputs, SecretRef
from modelops.core.errors import SecretError
from modelops.providers.health import PartHealth, PartState, check_parts
from modelops.providers.probes import (
    bound_value,
    database_address,
    probe_database,
    probe_object_store,
    probe_registry,
)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_part_that_hangs_is_unhealthy_and_the_others_are_told_of() -> None:
    release = threading.Event()

    def hang() -> PartHealth:
        release.wait(60)
        return PartHealth("slow", PartState.HEALTHY)

    try:
        found = check_parts(
            {"slow": hang, "quick": lambda: PartHealth("quick", PartState.HEALTHY)}, 0.2
        )
    finally:
        release.set()
    assert [(part.part, part.state) for part in found] == [
        ("slow", PartState.UNHEALTHY),
        ("quick", PartState.HEALTHY),
    ]
    assert found[0].reason == "doesn't answer within 0.2 s"


def test_a_fault_of_a_check_isnt_taken_for_an_ill_part() -> None:
    def broken() -> PartHealth:
        raise LookupError("a fault of ours")

    with pytest.raises(LookupError):
        check_parts({"part": broken}, 5)


def test_a_database_that_was_never_written_is_well(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.sqlite"
    assert probe_database(url, 5) == ""
    assert list(tmp_path.iterdir()) == []
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as database:
        database.execute("CREATE TABLE runs (id)")
    assert probe_database(url, 5) == ""


def test_a_file_that_is_no_database_is_told_from_one(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_text("no database at all" * 100)
    assert "not a database" in probe_database(f"sqlite:///{tmp_path}/journal.sqlite", 5)
    assert "gone" in probe_database(f"sqlite:///{tmp_path}/no/journal.sqlite", 5)


def test_a_server_that_cant_be_reached_is_told_without_its_password(closed_port: int) -> None:
    url = f"postgresql://me:hunter2@127.0.0.1:{closed_port}/journal?application_name=hunter2"
    said = probe_database(url, 5)
    assert "can't be reached" in said
    assert "hunter2" not in said + database_address(url)
    assert str(closed_port) in database_address(url)


def test_a_server_that_says_nothing_is_given_up(silent_port: int) -> None:
    assert "can't be reached" in probe_database(f"postgresql://me@127.0.0.1:{silent_port}/x", 1)


def test_what_is_no_address_is_said_without_repeating_it() -> None:
    assert "hunter2" not in probe_database("postgres hunter2", 5)
    assert database_address("postgres hunter2") == ""


def test_folders_are_looked_at(tmp_path: Path) -> None:
    assert probe_registry(RegistryAccess(f"oci-layout://{tmp_path}")) == ""
    assert probe_object_store(f"file://{tmp_path}") == ""
    assert "gone" in probe_registry(RegistryAccess(f"oci-layout://{tmp_path}/no"))
    assert "gone" in probe_object_store(f"file://{tmp_path}/no")


def test_an_object_store_elsewhere_is_asked() -> None:
    assert probe_object_store("memory://") == ""
    assert "no such bucket" in probe_object_store("memory://nowhere")
    assert "can't be reached" in probe_object_store("nosuchscheme://bucket")


def test_a_registry_that_refuses_is_told_of(closed_port: int) -> None:
    assert f"127.0.0.1:{closed_port} can't be used" in probe_registry(
        RegistryAccess(f"oci://127.0.0.1:{closed_port}")
    )


def test_a_binding_is_read_from_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://me:hunter2@host/x\n")
    bindings = BindingOutputs(
        env={"A": "plain"},
        secrets={"B": SecretRef("file", str(tmp_path / "url")), "C": SecretRef("k8s", "s", "k")},
    )
    assert bound_value(bindings, "A") == "plain"
    assert bound_value(bindings, "B") == "postgresql://me:hunter2@host/x"
    with pytest.raises(SecretError):
        bound_value(bindings, "C")
    assert bound_value(bindings, "D") is None
