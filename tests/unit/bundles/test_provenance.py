"""Statements of provenance, and what anybody may put in their place."""

import datetime
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.bundles.layout_store import LayoutStore
from modelops.bundles.packing import pack
from modelops.bundles.provenance import (
    PROVENANCE_TYPE,
    Provenance,
    read_provenance,
    write_provenance,
)
from modelops.bundles.referrers import Referrer, subject_of
from modelops.contracts import BundleRef
from modelops.core.errors import BundleError

REF = BundleRef("team/sir", f"sha256:{'ab' * 32}")
OTHER = BundleRef("team/sir", f"sha256:{'cd' * 32}")
TIME = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
MADE = Provenance("Ada <ada@example.org>", TIME, "1.2.3", "c" * 40, is_dirty=True)


@pytest.mark.parametrize("made", [MADE, Provenance("ada", TIME, "1")])
def test_a_statement_is_read_as_it_was_written(made):
    data = made.statement(REF)
    assert Provenance.parse(data, REF) == made
    statement = json.loads(data)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"][0]["digest"] == {"sha256": "ab" * 32}
    assert made.to_json()["time"] == "2026-01-02T03:04:05Z"


def test_a_statement_about_another_bundle_is_refused():
    with pytest.raises(BundleError, match="about something else"):
        Provenance.parse(MADE.statement(OTHER), REF)


@given(st.data())
def test_any_damaged_statement_is_a_bundle_error(data):
    statement = json.loads(MADE.statement(REF))
    parts = [statement]
    while isinstance(parts[-1], dict) and parts[-1] and data.draw(st.booleans()):
        parts.append(parts[-1][data.draw(st.sampled_from(sorted(parts[-1])))])
    inner = next(part for part in reversed(parts) if isinstance(part, dict))
    if inner:
        name = data.draw(st.sampled_from(sorted(inner)))
        inner[name] = data.draw(st.none() | st.integers() | st.lists(st.none()) | st.text())
    try:
        read = Provenance.parse(json.dumps(statement).encode(), REF)
    except BundleError:
        return
    assert isinstance(read.author, str)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_bundle_error(data):
    with pytest.raises(BundleError):
        Provenance.parse(data, REF)


def test_what_others_say_of_a_bundle_doesnt_hide_its_provenance(tmp_path, make_bundle):
    store = LayoutStore(tmp_path / "store")
    ref = store.push("sir", pack(make_bundle()))
    for content in (b"{}", b"[" * 9_000, b" " * 70_000, MADE.statement(OTHER)):
        referrer = Referrer(PROVENANCE_TYPE, subject_of(store, ref), content, PROVENANCE_TYPE)
        store.push_referrer(ref, referrer)
    assert read_provenance(store, ref) is None
    assert write_provenance(store, ref, MADE)
    assert not write_provenance(store, ref, MADE)
    assert read_provenance(store, ref) == MADE
    # It says nothing of the content, so that it changes no digest.
    assert pack(make_bundle()).digest == ref.digest
