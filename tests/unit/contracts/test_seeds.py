import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.contracts import ContractError, canonical_json, check_seed, derive_seed

seeds = st.integers(0, 2**64 - 1)
param_ids = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(seeds, param_ids, st.integers(0, 10**6))
def test_a_seed_is_a_uint64_and_always_the_same(seed: int, param_id: str, replicate: int) -> None:
    derived = derive_seed(seed, param_id, replicate)
    check_seed(derived)
    assert derived == derive_seed(seed, param_id, replicate)


@given(seeds, param_ids, st.integers(1, 50))
def test_replicates_have_different_seeds(seed: int, param_id: str, replicates: int) -> None:
    derived = {derive_seed(seed, param_id, replicate) for replicate in range(replicates)}
    assert len(derived) == replicates


@given(seeds, st.text('0123456789abcdef"ä,'), st.lists(st.integers(0, 99), min_size=1))
def test_a_seed_is_hashed_of_its_canonical_json(
    seed: int, param_id: str, replicates: list[int]
) -> None:
    for replicate in replicates:
        text = canonical_json(["modelops:seed:v1", seed, param_id, replicate])
        expected = int.from_bytes(hashlib.sha256(text).digest()[:8], "big")
        assert derive_seed(seed, param_id, replicate) == expected


def test_a_seed_by_hand() -> None:
    by_hand = hashlib.sha256(b'["modelops:seed:v1",7,"abc",2]').digest()
    assert derive_seed(7, "abc", 2) == int.from_bytes(by_hand[:8], "big")


@pytest.mark.parametrize("seed", [-1, 2**64, True, 1.0, "1", None])
def test_what_is_no_seed(seed: object) -> None:
    with pytest.raises(ContractError):
        check_seed(seed)


@pytest.mark.parametrize("replicate", [-1, True, 1.0])
def test_what_is_no_replicate(replicate: int) -> None:
    with pytest.raises(ContractError, match="replicate"):
        derive_seed(1, "abc", replicate)
