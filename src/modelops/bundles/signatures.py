"""Signing a bundle, and checking who signed it: sigstore bundles as referrers."""

from modelops.bundles.bundle_store import BundleStore
from modelops.bundles.referrers import (
    FoundReferrer,
    Referrer,
    find_referrers,
    read_layer,
    subject_of,
)
from modelops.bundles.signing_keys import SigningKey, check_signature
from modelops.bundles.sigstore_bundle import (
    ANNOTATIONS,
    MAX_BYTES,
    MEDIA_TYPE,
    SignedStatement,
    key_hint,
    pre_authentication,
    statement_about,
)
from modelops.contracts import BundleRef, PublicKey
from modelops.core.errors import BundleError, SignatureError, SigningKeyError

_SHOWN = 3
"""How many signatures that don't do are told of."""


def sign_bundle(store: BundleStore, ref: BundleRef, key: SigningKey) -> None:
    """Sign a bundle that is in `store`; nothing is added if this key signed it before.

    Raises:
        BundleError: if the bundle isn't there, or the store can't be read or written.
    """
    payload = statement_about(ref.digest)
    signature = key.sign(pre_authentication(payload))
    signed = SignedStatement(payload, signature, key_hint(key.public))
    referrer = Referrer(
        artifact_type=MEDIA_TYPE,
        subject=subject_of(store, ref),
        content=signed.encode(),
        media_type=MEDIA_TYPE,
        annotations=ANNOTATIONS,
    )
    store.push_referrer(ref, referrer)


def verify_bundle(store: BundleStore, ref: BundleRef, key: PublicKey) -> None:
    """Check that the owner of `key` signed the bundle `ref`.

    Other people's signatures, and what isn't one, are passed over.

    Raises:
        SignatureError: if there is no such signature; it says how many others there are, and why
            they don't do.
        BundleError: if the signatures can't be listed.
        SigningKeyError: if the key isn't one.
    """
    problems = []
    for found in find_referrers(store, ref, MEDIA_TYPE):
        try:
            _check(store, ref, key, found)
        except SigningKeyError:
            raise
        except BundleError as error:
            problems.append(f"  {found.digest}: {error.message}")
        else:
            return
    hint = "Its author signs it with: mops bundle push --sign KEY.pem DIR"
    if not problems:
        raise SignatureError(f"The bundle {ref} isn't signed.", hint=hint)
    more = [] if len(problems) <= _SHOWN else [f"  and {len(problems) - _SHOWN} more"]
    listed = "\n".join([*problems[:_SHOWN], *more])
    raise SignatureError(
        f"The bundle {ref} isn't signed with the {key.kind} key {key.fingerprint}. "
        f"Signatures that don't do:\n{listed}",
        hint=hint,
    )


def _check(store: BundleStore, ref: BundleRef, key: PublicKey, found: FoundReferrer) -> None:
    if found.manifest is None:
        raise SignatureError(found.problem)
    signed = SignedStatement.parse(read_layer(store, ref, found.manifest, MEDIA_TYPE, MAX_BYTES))
    try:
        check_signature(key, signed.signature, pre_authentication(signed.payload))
    except SignatureError:
        # The hint isn't signed; it's good enough to tell the usual reason from the others.
        if signed.hint and signed.hint != key_hint(key):
            raise SignatureError("another key made it") from None
        raise
    signed.check_is_about(ref.digest)
