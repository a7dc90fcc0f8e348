"""The passphrase that the engine encrypts secrets with, and the salt that the stacks share."""

import base64
import hashlib
import os
import secrets
import uuid
from collections.abc import Mapping
from pathlib import Path

from modelops.core.settings import Home

PASSPHRASE_VARIABLE = "PULUMI_CONFIG_PASSPHRASE"  # noqa: S105 — a name
PASSPHRASE_FILE_VARIABLE = "PULUMI_CONFIG_PASSPHRASE_FILE"  # noqa: S105 — a name

# The engine's own figures (its package `secrets/passphrase`): a salt is written as
# `v1:<salt>:` and the word below, encrypted, by which it knows the passphrase again.
_ITERATIONS = 1_000_000
_KEY_BYTES = 32
_SALT_BYTES = 8
_NONCE_BYTES = 12
_KNOWN_WORD = b"pulumi"


def passphrase_environment(home: Home, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variable that names the passphrase that was made for this home, made if need be.

    Nothing where the user's environment has a passphrase, be it empty, or a file of one.
    """
    if not _is_ours(environment):
        return {}
    if not home.passphrase_file.exists():
        # A salt fits one passphrase only.
        home.encryption_salt_file.unlink(missing_ok=True)
        _write_once(home.passphrase_file, secrets.token_urlsafe(32))
    return {PASSPHRASE_FILE_VARIABLE: str(home.passphrase_file)}


def shared_salt(home: Home, environment: Mapping[str, str]) -> str | None:
    """Return the salt of all stacks under the passphrase of this home, made if need be.

    The engine makes one for each stack, and then derives a key for each stack that it reads or
    writes, at the cost of a third of a second each time. The file can be deleted: a stack whose
    state has another salt is read with that. None where the passphrase is the user's own.
    """
    if environment.get(PASSPHRASE_FILE_VARIABLE) != str(home.passphrase_file):
        return None
    if environment.get(PASSPHRASE_VARIABLE):
        return None
    path = home.encryption_salt_file
    if not path.exists():
        _write_once(path, _salt_for(home.passphrase_file.read_text().strip()))
    return path.read_text().strip()


def _is_ours(environment: Mapping[str, str]) -> bool:
    variables = (PASSPHRASE_VARIABLE, PASSPHRASE_FILE_VARIABLE)
    return all(environment.get(name) is None for name in variables)


def _salt_for(passphrase: str) -> str:
    # Needed once in a home's life.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
    key = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, _ITERATIONS, _KEY_BYTES)
    word = AESGCM(key).encrypt(nonce, _KNOWN_WORD, None)
    return f"v1:{_text(salt)}:v1:{_text(nonce)}:{_text(word)}"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _write_once(path: Path, text: str) -> None:
    """Write a file of the user's alone; of two that do so at once, one is the first and stays."""
    # Threads of one process may be the two.
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    try:
        # A link fails where the name is taken.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
