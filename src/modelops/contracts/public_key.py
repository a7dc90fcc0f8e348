"""The public key that a run demands bundles to be signed with."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Self

from modelops.contracts.errors import ContractError

# DER of a SubjectPublicKeyInfo up to the key itself: RFC 8410 (Ed25519) and RFC 5480
# (id-ecPublicKey on secp256r1, then an uncompressed point).
_KINDS = {
    "Ed25519": (bytes.fromhex("302a300506032b6570032100"), 44),
    "ECDSA P-256": (bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"), 91),
}
_BLOCK = re.compile(r"\s*-----BEGIN ([A-Z0-9 ]+)-----\s(.+?)-----END \1-----\s*", re.DOTALL)
_MAX_CHARACTERS = 4096
_LINE = 64


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 or ECDSA P-256 key. Two files of the same key give equal values.

    Attributes:
        der: its SubjectPublicKeyInfo (RFC 5280, 4.1.2.7), DER.

    Raises:
        ContractError: if it's something else. Whether the point is on the curve isn't checked.
    """

    der: bytes

    def __post_init__(self) -> None:
        if not any(
            self.der.startswith(prefix) and len(self.der) == size
            for prefix, size in _KINDS.values()
        ):
            raise ContractError(f"the key is of another kind than {' and '.join(_KINDS)}")

    @classmethod
    def from_pem(cls, text: str) -> Self:
        """Read a PEM file's text (RFC 7468, `PUBLIC KEY`).

        Raises:
            ContractError: if it isn't one such key. What was read isn't in the message: it may be a
                private key.
        """
        block = _BLOCK.fullmatch(text) if len(text) <= _MAX_CHARACTERS else None
        if block is None:
            raise ContractError("it isn't one public key in PEM (-----BEGIN PUBLIC KEY-----)")
        if block[1] != "PUBLIC KEY":
            raise ContractError(f"it holds a {block[1]}, where a PUBLIC KEY is wanted")
        try:
            der = base64.b64decode("".join(block[2].split()), validate=True)
        except binascii.Error as error:
            raise ContractError(f"its base64 is damaged: {error}") from None
        return cls(der)

    def to_pem(self) -> str:
        """Return the key as PEM, the same text for the same key."""
        text = base64.b64encode(self.der).decode()
        lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
        return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])

    @property
    def kind(self) -> str:
        """`Ed25519` or `ECDSA P-256`."""
        return next(name for name, (prefix, _) in _KINDS.items() if self.der.startswith(prefix))

    @property
    def fingerprint(self) -> str:
        """`sha256:` and 64 hex digits, of the DER."""
        return f"sha256:{hashlib.sha256(self.der).hexdigest()}"

    def __repr__(self) -> str:
        """Return the kind and the fingerprint, by which people know a key."""
        return f"PublicKey({self.kind}, {self.fingerprint})"
