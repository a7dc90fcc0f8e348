"""Passwords as PostgreSQL keeps them, so that none is written into a statement.

The format is that of PostgreSQL's `pg_authid.rolpassword`; the keys are those of RFC 5802, section
3, with SHA-256 (RFC 7677): SCRAM-SHA-256$ITERATIONS:SALT$STORED_KEY:SERVER_KEY, base 64 all three.
"""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode

_ITERATIONS = 4096
_SALT_BYTES = 16


def verifier(password: str) -> str:
    """Return what lets a server check a password; it has a new salt each time."""
    return _verifier(password, secrets.token_bytes(_SALT_BYTES), _ITERATIONS)


def is_verified(password: str, held: str) -> bool:
    """Return whether `held` is a verifier of the password."""
    try:
        _, parameters, _ = held.split("$")
        iterations, salt = parameters.split(":")
        expected = _verifier(password, b64decode(salt), int(iterations))
    except ValueError:
        return False
    return hmac.compare_digest(expected.encode(), held.encode())


def _verifier(password: str, salt: bytes, iterations: int) -> str:
    # ASCII needs no SASLprep; the passwords are made by us.
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt_, stored, server = (b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${iterations}:{salt_}${stored}:{server}"
