"""Signatures of bundles in the format of cosign v3: a sigstore bundle around a DSSE envelope.

Formats: sigstore bundle v0.3 (github.com/sigstore/protobuf-specs, `sigstore_bundle.proto`, as JSON
of protobuf), DSSE v1 (github.com/secure-systems-lab/dsse, `protocol.md`), in-toto Statement v1.
What cosign v3 signs was read in its source: the predicate type below, one subject with the
manifest's SHA-256, one signature, and the base64 of the public key's SHA-256 as a hint.
"""

import base64
import binascii
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from modelops.contracts import PublicKey, canonical_json
from modelops.core.errors import SignatureError

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
"""Of the bundle; the referrer's artifactType and the type of its layer too."""
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://sigstore.dev/cosign/sign/v1"
ANNOTATIONS = {
    "dev.sigstore.bundle.content": "dsse-envelope",
    "dev.sigstore.bundle.predicateType": PREDICATE_TYPE,
}
"""Of the referrer's manifest."""
MAX_BYTES = 64 * 2**10
"""How large a signature may be; ours have less than 1 KiB."""

_MAX_SUBJECTS = 64


class _Part(BaseModel):
    """A part of the JSON. What we don't know (timestamps, log entries) is passed over."""

    model_config = ConfigDict(
        frozen=True, strict=True, alias_generator=to_camel, populate_by_name=True
    )


class _Signature(_Part):
    sig: str


class _Envelope(_Part):
    payload: str
    payload_type: str
    signatures: Annotated[list[_Signature], Field(min_length=1, max_length=1)]


class _KeyHint(_Part):
    hint: str = ""


class _Material(_Part):
    public_key: _KeyHint | None = None


class _Bundle(_Part):
    media_type: str
    verification_material: _Material
    dsse_envelope: _Envelope


class _Subject(_Part):
    digest: dict[str, str] = Field(default_factory=dict)


class _Statement(_Part):
    type_: Annotated[str, Field(alias="_type")]
    predicate_type: str
    subject: Annotated[list[_Subject], Field(max_length=_MAX_SUBJECTS)]


class SignedStatement:
    """What a sigstore bundle holds: a payload, its signature and a hint at the key.

    Nothing of it is true until the signature was checked.

    Attributes:
        payload: the signed bytes, an in-toto statement.
        signature: over `pre_authentication(payload)`.
        hint: which key is said to have signed, as `key_hint` gives it; may be empty.
    """

    def __init__(self, payload: bytes, signature: bytes, hint: str) -> None:
        self.payload = payload
        self.signature = signature
        self.hint = hint

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a sigstore bundle.

        Raises:
            SignatureError: if it isn't one, or is of a kind that no key pair made.
        """
        try:
            bundle = _Bundle.model_validate_json(data)
            if bundle.media_type != MEDIA_TYPE:
                raise SignatureError(f"it is a {bundle.media_type[:100]!r}, not a {MEDIA_TYPE}")
            if bundle.verification_material.public_key is None:
                raise SignatureError("it was made with a certificate, not with a key pair")
            if bundle.dsse_envelope.payload_type != PAYLOAD_TYPE:
                kind = bundle.dsse_envelope.payload_type[:100]
                raise SignatureError(f"its payload is a {kind!r}, not a {PAYLOAD_TYPE}")
            payload = base64.b64decode(bundle.dsse_envelope.payload, validate=True)
            signature = base64.b64decode(bundle.dsse_envelope.signatures[0].sig, validate=True)
        except ValidationError as error:
            raise SignatureError(f"it isn't a sigstore bundle: {_problem(error)}") from error
        except binascii.Error as error:
            raise SignatureError(f"its base64 is damaged: {error}") from error
        return cls(payload, signature, bundle.verification_material.public_key.hint)

    def check_is_about(self, digest: str) -> None:
        """Check that the statement is a signature of the manifest `digest`.

        Raises:
            SignatureError: if it's about another, or says something else than that it is signed.
        """
        try:
            statement = _Statement.model_validate_json(self.payload)
        except ValidationError as error:
            raise SignatureError(f"what is signed isn't a statement: {_problem(error)}") from error
        if statement.type_ != STATEMENT_TYPE or statement.predicate_type != PREDICATE_TYPE:
            raise SignatureError(
                f"what is signed is a statement of {statement.predicate_type[:100]!r}, not a "
                "signature of a bundle"
            )
        hexadecimal = digest.removeprefix("sha256:")
        if all(subject.digest.get("sha256") != hexadecimal for subject in statement.subject):
            raise SignatureError("it is the signature of something else")

    def encode(self) -> bytes:
        """Return the sigstore bundle as JSON; the same for the same signature."""
        envelope: dict[str, Any] = {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(self.signature).decode()}],
        }
        return canonical_json(
            {
                "mediaType": MEDIA_TYPE,
                "verificationMaterial": {"publicKey": {"hint": self.hint}},
                "dsseEnvelope": envelope,
            }
        )


def statement_about(digest: str) -> bytes:
    """Return the statement that signs the manifest `digest`."""
    return canonical_json(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"digest": {"sha256": digest.removeprefix("sha256:")}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {},
        }
    )


def pre_authentication(payload: bytes) -> bytes:
    """Return the bytes that are signed (DSSE v1, `PAE`)."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def key_hint(key: PublicKey) -> str:
    """Return how cosign refers to a key: the base64 of the SHA-256 of its DER."""
    return base64.b64encode(bytes.fromhex(key.fingerprint.removeprefix("sha256:"))).decode()


def _problem(error: ValidationError) -> str:
    problem = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where or 'it'}: {problem['msg']}"
