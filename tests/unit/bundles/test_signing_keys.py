"""Key pairs: made, read, and what is said of files that aren't any."""

import stat

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from modelops.bundles.signing_keys import SigningKey, check_signature, read_public_key
from modelops.core.errors import SignatureError, SigningKeyError

PASSPHRASE = "correct horse battery"
EC_KEY = (
    ec.derive_private_key(7, ec.SECP256R1())
    .private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    .decode()
)


@pytest.fixture
def pair(tmp_path):
    return tmp_path / "k.pem", tmp_path / "k.pub"


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_a_pair_is_written_and_read(pair, passphrase):
    key = SigningKey.generate()
    key.write_pair(*pair, passphrase)
    private, public = pair
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert ("ENCRYPTED" in private.read_text()) == (passphrase is not None)
    signature = SigningKey.read(private, passphrase).sign(b"data")
    check_signature(read_public_key(public), signature, b"data")
    with pytest.raises(SignatureError):
        check_signature(read_public_key(public), signature, b"date")


@pytest.mark.parametrize("there", [0, 1])
def test_nothing_is_replaced(pair, there):
    pair[there].write_text("mine")
    with pytest.raises(SigningKeyError, match="is there already"):
        SigningKey.generate().write_pair(*pair)
    assert pair[there].read_text() == "mine"
    assert not pair[1 - there].exists()


def test_a_passphrase_that_is_missing_or_wrong_is_said_and_not_shown(pair):
    SigningKey.generate().write_pair(*pair, PASSPHRASE)
    with pytest.raises(SigningKeyError, match="is encrypted") as caught:
        SigningKey.read(pair[0])
    assert "--passphrase-file" in caught.value.hint
    assert "MODELOPS_SIGNING_PASSPHRASE_FILE" in caught.value.hint
    with pytest.raises(SigningKeyError, match="doesn't open") as caught:
        SigningKey.read(pair[0], "wrong secret")
    assert "passphrase is wrong" in caught.value.hint
    assert "wrong secret" not in str(caught.value)


def test_a_passphrase_for_another_key_does_no_harm(pair):
    key = SigningKey.generate()
    key.write_pair(*pair)
    assert SigningKey.read(pair[0], PASSPHRASE).public == key.public


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "isn't a private key in PEM"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "isn't a private key"),
        (EC_KEY, "isn't an Ed25519 key"),
        ("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n", "cosign's own way"),
        ("-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----\nAAAA\n", "cosign's own way"),
        (None, "can't be read: No such file"),
    ],
)
def test_what_is_no_signing_key_is_said(pair, content, reason):
    if content is not None:
        pair[0].write_text(content)
    with pytest.raises(SigningKeyError, match=reason) as caught:
        SigningKey.read(pair[0])
    assert caught.value.exit_code == 2
    assert caught.value.hint


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it isn't one public key"),
        (b"\xff\xfe", "it isn't text"),
        (EC_KEY.encode(), "it holds a PRIVATE KEY"),
        (None, "can't be read: No such file"),
    ],
)
def test_what_is_no_public_key_is_said(pair, content, reason):
    if content is not None:
        pair[1].write_bytes(content)
    with pytest.raises(SigningKeyError, match=reason) as caught:
        read_public_key(pair[1])
    assert "mops bundle keygen" in caught.value.hint
