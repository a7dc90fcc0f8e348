import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.result_store.digest_table import DigestTable

# Few prefixes, so that many digests share theirs.
digests = st.builds(
    lambda prefix, rest: prefix + rest,
    st.sampled_from([bytes(8), b"\x00" * 7 + b"\x01", b"\x80" + bytes(7), b"\xff" * 8]),
    st.binary(min_size=24, max_size=24) | st.just(bytes(24)),
)


@given(st.lists(digests, max_size=30), st.lists(digests, max_size=5))
def test_every_row_of_a_digest_is_found_and_no_other(rows, others):
    table = DigestTable(b"".join(rows))
    assert len(table) == len(rows)
    for digest in rows + others:
        assert table.rows(digest) == [row for row, one in enumerate(rows) if one == digest]
    assert [table.digest(row) for row in range(len(rows))] == rows


@pytest.mark.parametrize("size", [0, 31, 33])
def test_only_digests_are_looked_for(size):
    with pytest.raises(ValueError, match="32 bytes"):
        DigestTable(bytes(64)).rows(bytes(size))
