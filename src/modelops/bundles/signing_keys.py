"""Key pairs that sign bundles: made, read, and used to sign and to check."""

import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from modelops.contracts import ContractError, PublicKey
from modelops.core.errors import SignatureError, SigningKeyError

PASSPHRASE_VARIABLE = "MODELOPS_SIGNING_PASSPHRASE"  # noqa: S105 - the name of a variable
"""With `_FILE` behind it, the variable that names the file of a private key's passphrase."""

_MAX_BYTES = 16 * 2**10
_MADE_BY_COSIGN = b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY", b"-----BEGIN ENCRYPTED COSIGN"


class SigningKey:
    """An Ed25519 private key. Its bytes are in no text of this class."""

    def __init__(self, key: ed25519.Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def generate(cls) -> "SigningKey":
        """Return a new key."""
        return cls(ed25519.Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, path: Path, passphrase: str | None = None) -> "SigningKey":
        """Read a PEM file (PKCS #8, encrypted or not).

        Raises:
            SigningKeyError: if it can't be read, is another kind of key, or the passphrase is
                missing or wrong.
        """
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_BYTES)
        except OSError as error:
            raise SigningKeyError(
                f"The signing key {path} can't be read: {error.strerror}.",
                hint="Make a key pair with: mops bundle keygen",
            ) from None
        if data.lstrip().startswith(_MADE_BY_COSIGN):
            raise SigningKeyError(
                f"The signing key {path} is encrypted in cosign's own way.",
                hint="Sign with cosign itself (docs/signing.md), or make another key pair with: "
                "mops bundle keygen",
            )
        secret = None if passphrase is None else passphrase.encode()
        # The library says these three by TypeError and ValueError, with texts that help nobody.
        try:
            key = serialization.load_pem_private_key(data, secret)
        except TypeError:
            if secret is not None:
                # A passphrase that a variable names for another key does no harm here.
                return cls.read(path)
            raise SigningKeyError(
                f"The signing key {path} is encrypted.",
                hint="Name the file of its passphrase: --passphrase-file FILE, or set "
                f"{PASSPHRASE_VARIABLE}_FILE=FILE",
            ) from None
        except ValueError:
            what = "isn't a private key in PEM" if secret is None else "doesn't open"
            raise SigningKeyError(
                f"The signing key {path} {what}.",
                hint="Make a key pair with: mops bundle keygen"
                if secret is None
                else "The passphrase is wrong, or the file isn't a private key in PEM.",
            ) from None
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            raise SigningKeyError(
                f"The signing key {path} isn't an Ed25519 key.",
                hint="Make a key pair with: mops bundle keygen",
            )
        return cls(key)

    @property
    def public(self) -> PublicKey:
        """The key that checks what this one signs."""
        return PublicKey(
            self._key.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )

    def sign(self, data: bytes) -> bytes:
        """Return the signature (RFC 8032, Ed25519), the same for the same data."""
        return self._key.sign(data)

    def write_pair(self, private: Path, public: Path, passphrase: str | None = None) -> None:
        """Write both keys as PEM; the private one, which may be encrypted, with mode 0600.

        Raises:
            SigningKeyError: if one of the files is there already or can't be written.
        """
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase is not None:
            encryption = serialization.BestAvailableEncryption(passphrase.encode())
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )
        if public.exists():
            raise _is_there(public)
        _write_new(private, pem, 0o600)
        _write_new(public, self.public.to_pem().encode(), 0o644)


def read_public_key(path: Path) -> PublicKey:
    """Read the PEM file of a public key.

    Raises:
        SigningKeyError: if it can't be read, or isn't a key that signatures can be checked with.
    """
    try:
        with path.open(encoding="ascii") as file:
            return PublicKey.from_pem(file.read(_MAX_BYTES))
    except OSError as error:
        raise SigningKeyError(
            f"The public key {path} can't be read: {error.strerror}.",
            hint="Name the file that mops bundle keygen or cosign generate-key-pair wrote.",
        ) from None
    except (ContractError, UnicodeDecodeError) as error:
        reason = "it isn't text" if isinstance(error, UnicodeDecodeError) else str(error)
        raise SigningKeyError(
            f"The public key {path} can't be used: {reason}.",
            hint="Name the file that mops bundle keygen or cosign generate-key-pair wrote.",
        ) from None


def check_signature(key: PublicKey, signature: bytes, data: bytes) -> None:
    """Check a signature: Ed25519 (RFC 8032), or ECDSA P-256 with SHA-256, DER-encoded (RFC 3279).

    Raises:
        SignatureError: if another key made it, or of other data.
        SigningKeyError: if the key isn't one: its point isn't on the curve.
    """
    try:
        public = serialization.load_der_public_key(key.der)
    except ValueError as error:
        raise SigningKeyError(f"The public key {key.fingerprint} isn't one: {error}.") from error
    try:
        if isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(signature, data)
        elif isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(signature, data, ec.ECDSA(hashes.SHA256()))
        else:
            raise SigningKeyError(f"The public key {key.fingerprint} is of another kind.")
    except InvalidSignature:
        raise SignatureError("another key made it, or it was altered") from None


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except FileExistsError:
        raise _is_there(path) from None
    except OSError as error:
        raise SigningKeyError(f"{path} can't be written: {error.strerror}.") from None


def _is_there(path: Path) -> SigningKeyError:
    return SigningKeyError(
        f"{path} is there already; it isn't replaced.",
        hint="Signatures of a key that is gone can't be made any more: give the pair another name.",
    )
