"""Seeds: unsigned 64-bit integers that follow from the run's seed alone."""

import hashlib
from functools import lru_cache

from modelops.contracts.canonical import canonical_json
from modelops.contracts.errors import ContractError

_MAX_SEED = 2**64 - 1


def derive_seed(run_seed: int, param_id: str, replicate: int) -> int:
    """Return the seed of one simulation, a uint64.

    The first eight bytes, big-endian, of SHA-256 over the canonical JSON of
    `["modelops:seed:v1", run_seed, param_id, replicate]`. It depends on nothing else: not on the
    trial's number, the order of work or the number of workers.

    Raises:
        ContractError: if the run's seed isn't a uint64 or the replicate isn't a count.
    """
    check_seed(run_seed)
    if isinstance(replicate, bool) or not isinstance(replicate, int) or replicate < 0:
        raise ContractError(f"a replicate is numbered from 0, not {replicate!r}")
    hashed = _before_replicate(run_seed, param_id).copy()
    hashed.update(b"%d]" % replicate)
    return int.from_bytes(hashed.digest()[:8], "big")


@lru_cache(1_000)
def _before_replicate(run_seed: int, param_id: str) -> "hashlib._Hash":
    """Return what the seeds of all replicates have in common: hashed once for each trial."""
    common = canonical_json(["modelops:seed:v1", run_seed, param_id])
    return hashlib.sha256(common[:-1] + b",")


def check_seed(seed: object) -> None:
    """Raise ContractError unless `seed` is an integer from 0 to 2**64 - 1 (a bool is none)."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= _MAX_SEED:
        raise ContractError(f"a seed is an integer from 0 to 2**64 - 1, not {seed!r}")
