"""Public keys that a run's code must be signed with."""

import base64
import textwrap

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from modelops.contracts import ContractError, PublicKey

ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
P256 = ec.derive_private_key(12345, ec.SECP256R1())


def pem_of(private) -> str:
    return (
        private.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


@pytest.mark.parametrize(("private", "kind"), [(ED25519, "Ed25519"), (P256, "ECDSA P-256")])
def test_a_key_comes_back_as_it_was(private, kind):
    pem = pem_of(private)
    key = PublicKey.from_pem(pem)
    assert (key.kind, key.to_pem()) == (kind, pem)
    for text in (f"\n{pem}\n\n", pem.replace("\n", "\r\n")):
        assert PublicKey.from_pem(text) == key
    assert kind in repr(key)
    assert key.fingerprint in repr(key)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it isn't one public key"),
        (pem_of(ED25519) * 2, "it isn't one public key|its base64 is damaged"),
        (pem_of(ED25519)[:-20], "it isn't one public key"),
        ("x" * 5000, "it isn't one public key"),
        (pem_of(ED25519).replace("M", "!"), "its base64 is damaged"),
        (pem_of(ec.generate_private_key(ec.SECP384R1())), "another kind"),
        (pem_of(rsa.generate_private_key(65537, 1024)), "another kind"),
    ],
)
def test_what_is_not_a_key_is_refused(text, reason):
    with pytest.raises(ContractError, match=reason):
        PublicKey.from_pem(text)


def test_a_private_key_is_named_but_not_shown():
    private = ED25519.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    with pytest.raises(ContractError) as caught:
        PublicKey.from_pem(private)
    assert "it holds a PRIVATE KEY" in str(caught.value)
    assert private.splitlines()[1] not in str(caught.value)


@given(st.text(max_size=200), st.binary(max_size=120))
def test_any_text_is_a_key_or_a_contract_error(text, der):
    body = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    for pem in (text, f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"):
        try:
            key = PublicKey.from_pem(pem)
        except ContractError:
            continue
        assert PublicKey.from_pem(key.to_pem()) == key
