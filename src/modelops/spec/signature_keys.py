"""The public keys that a spec names, read when the plan is made so that they travel with it."""

from pathlib import Path

from modelops.contracts import ContractError, PublicKey
from modelops.spec.models import RuntimeSpec
from modelops.spec.problems import Finding

_MAX_BYTES = 16 * 2**10


def read_public_keys(spec: RuntimeSpec, base: Path) -> tuple[dict[str, PublicKey], list[Finding]]:
    """Return each algorithm's key, for those that demand a signature, and what is wrong with files.

    Args:
        spec: the spec.
        base: the directory that the keys' files are relative to; that of the spec's file.
    """
    keys: dict[str, PublicKey] = {}
    findings = []
    for name, algorithm in spec.spec.algorithms.items():
        signature = algorithm.entrypoint.require_signature
        if signature is None:
            continue
        path = base.absolute() / Path(signature.public_key).expanduser()
        key = _read(path)
        if isinstance(key, PublicKey):
            keys[name] = key
        else:
            at = ("spec", "algorithms", name, "entrypoint", "require_signature", "publicKey")
            suggestion = (
                "Name the file of a public key, relative to the spec's own directory; "
                "`mops bundle keygen` and `cosign generate-key-pair` make key pairs."
            )
            findings.append(Finding(at, f"{path} {key}", suggestion))
    return keys, findings


def _read(path: Path) -> PublicKey | str:
    """Return the key, or what is wrong with its file."""
    try:
        with path.open(encoding="ascii") as file:
            return PublicKey.from_pem(file.read(_MAX_BYTES))
    except FileNotFoundError:
        return "doesn't exist"
    except OSError as error:
        return f"can't be read: {error.strerror}"
    except UnicodeDecodeError:
        return "isn't text"
    except ContractError as error:
        return f"can't be used: {error}"
