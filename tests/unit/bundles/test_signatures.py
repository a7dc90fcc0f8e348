"""Signing bundles, and attacks on signatures, in an image layout."""

import base64
import json

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from modelops.bundles.artifact import IMAGE_MANIFEST_MEDIA_TYPE
from modelops.bundles.layout_store import LayoutStore
from modelops.bundles.packing import pack
from modelops.bundles.referrers import MAX_REFERRERS, Referrer, subject_of
from modelops.bundles.signatures import sign_bundle, verify_bundle
from modelops.bundles.signing_keys import SigningKey, check_signature
from modelops.bundles.sigstore_bundle import (
    ANNOTATIONS,
    MAX_BYTES,
    MEDIA_TYPE,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    SignedStatement,
    key_hint,
    pre_authentication,
    statement_about,
)
from modelops.contracts import BundleRef, PublicKey
from modelops.core.errors import BundleError, SignatureError, SigningKeyError

KEY = SigningKey.generate()
OTHER_KEY = SigningKey.generate()


@pytest.fixture
def store(tmp_path):
    return LayoutStore(tmp_path / "store")


@pytest.fixture
def ref(store, make_bundle):
    return store.push("team/sir", pack(make_bundle()))


def attach(store, ref, content, *, subject=None, media_type=MEDIA_TYPE):
    """Put what an attacker wrote where signatures are looked for."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    referrer = Referrer(
        MEDIA_TYPE, subject or subject_of(store, ref), data, media_type, ANNOTATIONS
    )
    store.push_referrer(ref, referrer)
    return referrer


def signed(payload, key=KEY):
    signature = key.sign(pre_authentication(payload))
    return SignedStatement(payload, signature, key_hint(key.public)).encode()


def statement(ref, **changes):
    parts = json.loads(statement_about(ref.digest))
    return json.dumps({**parts, **changes}).encode()


def test_a_signature_is_found_and_checked(store, ref):
    with pytest.raises(SignatureError, match="isn't signed") as caught:
        verify_bundle(store, ref, KEY.public)
    assert "mops bundle push --sign" in caught.value.hint
    sign_bundle(store, ref, KEY)
    verify_bundle(store, ref, KEY.public)
    with pytest.raises(SignatureError, match="another key made it"):
        verify_bundle(store, ref, OTHER_KEY.public)


def test_signing_again_adds_nothing(store, ref):
    for key in (KEY, KEY, OTHER_KEY, KEY):
        sign_bundle(store, ref, key)
    assert len(store.list_referrers(ref)) == 2
    for key in (KEY, OTHER_KEY):
        verify_bundle(store, ref, key.public)


def test_a_signature_changes_neither_the_bundle_nor_what_is_listed(store, ref, make_bundle):
    before = store.list_bundles("team/sir")
    sign_bundle(store, ref, KEY)
    assert store.list_bundles("team/sir") == before
    assert store.push("team/sir", pack(make_bundle())) == ref
    verify_bundle(store, ref, KEY.public)


def test_what_is_written_is_what_cosign_writes(store, ref):
    sign_bundle(store, ref, KEY)
    (listed,) = store.list_referrers(ref)
    manifest = json.loads(store.read_manifest(BundleRef(ref.repository, listed.digest)))
    assert manifest["artifactType"] == listed.artifact_type == MEDIA_TYPE
    assert manifest["subject"]["digest"] == ref.digest
    assert manifest["annotations"]["dev.sigstore.bundle.predicateType"] == PREDICATE_TYPE
    (layer,) = manifest["layers"]
    assert layer["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"


def test_ecdsa_signatures_of_other_tools_are_taken(store, ref):
    private = ec.generate_private_key(ec.SECP256R1())
    public = PublicKey(
        private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    payload = statement_about(ref.digest)
    signature = private.sign(pre_authentication(payload), ec.ECDSA(hashes.SHA256()))
    attach(store, ref, SignedStatement(payload, signature, key_hint(public)).encode())
    verify_bundle(store, ref, public)
    with pytest.raises(SignatureError):
        verify_bundle(store, ref, KEY.public)


def test_a_key_whose_point_is_not_on_the_curve_is_said(store, ref):
    sign_bundle(store, ref, KEY)
    prefix = "3059301306072a8648ce3d020106082a8648ce3d03010703420004"
    with pytest.raises(SigningKeyError, match="isn't one"):
        verify_bundle(store, ref, PublicKey(bytes.fromhex(prefix) + b"\1" * 64))


def bundle_json(ref, key=KEY):
    return json.loads(signed(statement_about(ref.digest), key))


def altered(ref, *path, to):
    changed = bundle_json(ref)
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    if to is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return changed


OTHER_REF = BundleRef("team/sir", f"sha256:{'1' * 64}")
SIGNATURE = {"sig": base64.b64encode(bytes(64)).decode()}
ATTACKS = {
    "signature of another digest": (
        lambda ref: signed(statement_about(OTHER_REF.digest)),
        "it is the signature of something else",
    ),
    "signed for no subject": (
        lambda ref: signed(statement(ref, subject=[])),
        "it is the signature of something else",
    ),
    "digest of another algorithm": (
        lambda ref: signed(
            statement(ref, subject=[{"digest": {"sha512": ref.digest.removeprefix("sha256:")}}])
        ),
        "it is the signature of something else",
    ),
    "another statement by the same key": (
        lambda ref: signed(statement(ref, predicateType="https://slsa.dev/provenance/v1")),
        "not a signature of a bundle",
    ),
    "another kind of statement": (
        lambda ref: signed(statement(ref, _type=f"{STATEMENT_TYPE}0")),
        "not a signature of a bundle",
    ),
    "payload that isn't JSON": (lambda ref: signed(b"\xff{"), "what is signed isn't a statement"),
    "payload altered": (
        lambda ref: altered(
            ref, "dsseEnvelope", "payload",
            to=base64.b64encode(statement_about(ref.digest) + b" ").decode(),
        ),
        "another key made it, or it was altered",
    ),
    "payload of another signature": (
        lambda ref: altered(
            ref, "dsseEnvelope", "payload",
            to=base64.b64encode(statement_about(OTHER_REF.digest)).decode(),
        ),
        "another key made it, or it was altered",
    ),
    "payloadType mismatch": (
        lambda ref: altered(ref, "dsseEnvelope", "payloadType", to="text/plain"),
        "its payload is a 'text/plain'",
    ),
    "payload signed as it is, without its type": (
        lambda ref: SignedStatement(
            statement_about(ref.digest), KEY.sign(statement_about(ref.digest)), ""
        ).encode(),
        "another key made it, or it was altered",
    ),
    "no signature": (lambda ref: altered(ref, "dsseEnvelope", "signatures", to=[]), "at least 1"),
    "two signatures": (
        lambda ref: altered(
            ref, "dsseEnvelope", "signatures",
            to=[SIGNATURE, *bundle_json(ref)["dsseEnvelope"]["signatures"]],
        ),
        "at most 1",
    ),
    "zero signature": (
        lambda ref: altered(ref, "dsseEnvelope", "signatures", to=[SIGNATURE]),
        "another key made it, or it was altered",
    ),
    "empty signature": (
        lambda ref: altered(ref, "dsseEnvelope", "signatures", to=[{"sig": ""}]),
        "another key made it, or it was altered",
    ),
    "damaged base64": (
        lambda ref: altered(ref, "dsseEnvelope", "payload", to="%%%"),
        "its base64 is damaged",
    ),
    "a certificate": (
        lambda ref: altered(
            ref, "verificationMaterial", to={"certificate": {"rawBytes": "AAAA"}}
        ),
        "it was made with a certificate",
    ),
    "no material": (lambda ref: altered(ref, "verificationMaterial", to=None), "Field required"),
    "another version": (
        lambda ref: altered(
            ref, "mediaType", to="application/vnd.dev.sigstore.bundle.v0.4+json"
        ),
        "not a application/vnd.dev.sigstore.bundle.v0.3",
    ),
    "a signature of a message": (
        lambda ref: altered(ref, "dsseEnvelope", to=None) | {"messageSignature": {}},
        "Field required",
    ),
    "not JSON": (lambda ref: b"<html>", "isn't a sigstore bundle"),
    "empty": (lambda ref: b"", "isn't a sigstore bundle"),
    "a list": (lambda ref: b"[]", "isn't a sigstore bundle"),
    "deeply nested": (lambda ref: b"[" * 60_000, "isn't a sigstore bundle"),
    "huge": (lambda ref: b" " * (MAX_BYTES + 1), "more than the 65,536 that it may"),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_not_a_signature_of_the_bundle_is_refused(store, ref, attack):
    make, reason = ATTACKS[attack]
    attach(store, ref, make(ref))
    with pytest.raises(SignatureError, match="isn't signed with") as caught:
        verify_bundle(store, ref, KEY.public)
    assert reason in caught.value.message
    # Nor does it hide a true one.
    sign_bundle(store, ref, KEY)
    verify_bundle(store, ref, KEY.public)


def test_a_hint_is_not_believed(store, ref):
    payload = statement_about(ref.digest)
    forged = OTHER_KEY.sign(pre_authentication(payload))
    attach(store, ref, SignedStatement(payload, forged, key_hint(KEY.public)).encode())
    with pytest.raises(SignatureError, match="or it was altered"):
        verify_bundle(store, ref, KEY.public)
    misleading = SignedStatement(payload, KEY.sign(pre_authentication(payload)), "another")
    attach(store, ref, misleading.encode())
    verify_bundle(store, ref, KEY.public)


def test_a_signature_of_another_bundle_that_is_listed_here_is_refused(
    store, ref, make_bundle, tmp_path
):
    other = store.push("team/sir", pack(make_bundle({"model.py": "def simulate(p, s): ...\n"})))
    referrer = attach(store, other, signed(statement_about(other.digest)))
    assert store.list_referrers(ref) == []
    index = tmp_path / "store/team/sir/index.json"
    text = index.read_text()
    entry = next(
        item for item in json.loads(text)["manifests"] if item["digest"] == referrer.listed.digest
    )
    index.write_text(
        text.replace(
            entry["annotations"]["io.modelops.bundle.subject"],
            ref.digest,
        )
    )
    assert [item.digest for item in store.list_referrers(ref)] == [referrer.listed.digest]
    with pytest.raises(SignatureError, match=f"It refers to {other.digest}, not to"):
        verify_bundle(store, ref, KEY.public)


def test_a_referrer_whose_bytes_were_altered_is_refused(store, ref, tmp_path):
    sign_bundle(store, ref, KEY)
    (listed,) = store.list_referrers(ref)
    path = tmp_path / "store/team/sir/blobs/sha256" / listed.digest.removeprefix("sha256:")
    path.write_bytes(path.read_bytes().replace(b"dsse-envelope", b"dsse-Envelope"))
    with pytest.raises(SignatureError, match="it was altered"):
        verify_bundle(store, ref, KEY.public)


def test_a_layer_of_another_type_is_refused(store, ref):
    attach(store, ref, signed(statement_about(ref.digest)), media_type="application/json")
    with pytest.raises(SignatureError, match="It hasn't one layer of the type"):
        verify_bundle(store, ref, KEY.public)


def test_too_many_referrers_are_an_error_not_a_long_wait(store, ref, tmp_path):
    sign_bundle(store, ref, KEY)
    index = tmp_path / "store/team/sir/index.json"
    content = json.loads(index.read_text())
    more = [
        {
            "mediaType": IMAGE_MANIFEST_MEDIA_TYPE,
            "digest": f"sha256:{number:064x}",
            "size": 100,
            "artifactType": MEDIA_TYPE,
            "annotations": {"io.modelops.bundle.subject": ref.digest},
        }
        for number in range(MAX_REFERRERS)
    ]
    index.write_text(json.dumps({**content, "manifests": [*more, *content["manifests"]]}))
    with pytest.raises(BundleError, match="257 referrers"):
        verify_bundle(store, ref, KEY.public)
    # Of another kind, they are nobody's business.
    for item in more:
        item["artifactType"] = "application/vnd.example"
    index.write_text(json.dumps({**content, "manifests": [*more, *content["manifests"]]}))
    verify_bundle(store, ref, KEY.public)


def test_only_a_few_of_many_problems_are_shown(store, ref):
    for number in range(5):
        attach(store, ref, b"x" * (number + 1))
    with pytest.raises(SignatureError) as caught:
        verify_bundle(store, ref, KEY.public)
    assert caught.value.message.count("isn't a sigstore bundle") == 3
    assert caught.value.message.endswith("and 2 more")


def test_what_is_not_there_cant_be_signed(store):
    with pytest.raises(BundleError, match="There is no bundle"):
        sign_bundle(store, OTHER_REF, KEY)


def test_a_manifest_larger_than_it_may_be_is_not_read(store, ref, tmp_path):
    index = tmp_path / "store/team/sir/index.json"
    content = json.loads(index.read_text())
    large = {
        "mediaType": IMAGE_MANIFEST_MEDIA_TYPE,
        "digest": f"sha256:{'a' * 64}",
        "size": 2**40,
        "artifactType": MEDIA_TYPE,
        "annotations": {"io.modelops.bundle.subject": ref.digest},
    }
    index.write_text(json.dumps({**content, "manifests": [*content["manifests"], large]}))
    with pytest.raises(SignatureError, match="Its manifest has 1,099,511,627,776 bytes"):
        verify_bundle(store, ref, KEY.public)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_signature_or_a_signature_error(data):
    with pytest.raises(SignatureError):
        SignedStatement.parse(data)


@given(st.data())
def test_any_change_of_a_byte_is_noticed(data):
    ref = BundleRef("sir", f"sha256:{'ab' * 32}")
    raw = bytearray(signed(statement_about(ref.digest)))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    try:
        changed = SignedStatement.parse(bytes(raw))
    except SignatureError:
        return
    was = SignedStatement.parse(signed(statement_about(ref.digest)))
    # The hint, and what is passed over, may change; what is signed may not.
    if (changed.payload, changed.signature) != (was.payload, was.signature):
        with pytest.raises(SignatureError):
            check_signature(KEY.public, changed.signature, pre_authentication(changed.payload))


def test_what_is_signed_is_dsse_over_the_payload():
    payload = b"hello world"
    assert pre_authentication(payload) == (b"DSSEv1 28 application/vnd.in-toto+json 11 hello world")
