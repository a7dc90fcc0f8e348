"""What of a worker's environment its children are told."""

from collections.abc import Mapping

HASH_VARIABLE = "PYTHONHASHSEED"
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""What libraries take their number of threads from."""

# All that a child is told of the worker's environment, where credentials may be.
_PASSED_ON = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TMPDIR", "TZ"),
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "SSL_CERT_FILE"),
    }
)


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what of `environment` a child is given, and what is set for it.

    Hashing and the number of threads are fixed, so that a model's results don't depend on where
    it runs. PYTHONDONTWRITEBYTECODE isn't passed on: compiling at each start costs more.
    """
    passed = {
        name: value
        for name, value in environment.items()
        if name in _PASSED_ON or name.startswith("LC_")
    }
    return {**passed, HASH_VARIABLE: "0", **dict.fromkeys(THREAD_VARIABLES, "1")}
