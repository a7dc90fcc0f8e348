"""X.509 certificates (RFC 5280) for servers and clients on this machine's networks.

Keys are on the curve P-256, which every TLS library takes for servers.
"""

import datetime
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# A clock that is a little behind must not refuse a certificate that was made just now.
_BACKDATED = datetime.timedelta(minutes=5)
# RFC 5280, appendix A: ub-common-name.
_LONGEST_NAME = 64


@dataclass(frozen=True)
class Issued:
    """A certificate and its private key, both as PEM."""

    certificate: bytes
    key: bytes


def issue_authority(common_name: str, days: int) -> Issued:
    """Return a CA that signs itself, and may sign leaves but no further CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name)
    builder = _builder(name, name, key.public_key(), days, None)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs=True), critical=True)
    return _sealed(builder, key, key)


def issue_leaf(common_name: str, hosts: Sequence[str], days: int, issuer: Issued) -> Issued:
    """Return a certificate for servers and clients; it ends no later than its CA.

    Args:
        common_name: the subject.
        hosts: DNS names and IP addresses that it is valid for.
        days: how long it is valid.
        issuer: the CA.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    authority = x509.load_pem_x509_certificate(issuer.certificate)
    builder = _builder(_name(common_name), authority.subject, key.public_key(), days, authority)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    builder = builder.add_extension(_usage(signs=False), critical=True)
    builder = builder.add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
        critical=False,
    )
    names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
    builder = builder.add_extension(names, critical=False)
    return _sealed(builder, key, _private_key(issuer.key))


def fingerprint(certificate: bytes) -> str:
    """Return the SHA-256 of a certificate (of its DER form), hexadecimal.

    Raises:
        ValueError: if it isn't a certificate as PEM.
    """
    return x509.load_pem_x509_certificate(certificate).fingerprint(hashes.SHA256()).hex()


def validity(certificate: bytes) -> tuple[datetime.datetime, datetime.datetime]:
    """Return from when until when a certificate is valid, in UTC."""
    loaded = x509.load_pem_x509_certificate(certificate)
    return loaded.not_valid_before_utc, loaded.not_valid_after_utc


def ends_soon(certificate: bytes) -> bool:
    """Return whether less than a third of a certificate's time is left: it's to be issued anew."""
    since, until = validity(certificate)
    return (until - datetime.datetime.now(datetime.UTC)) * 3 < until - since


def fits(issued: Issued, authority: bytes) -> bool:
    """Return whether the key is that of the certificate, and the CA signed the certificate."""
    try:
        certificate = x509.load_pem_x509_certificate(issued.certificate)
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
        return certificate.public_key() == _private_key(issued.key).public_key()
    except (ValueError, TypeError, InvalidSignature):
        return False


def is_host(text: str) -> bool:
    """Return whether a certificate can be valid for it: a DNS name or an IP address."""
    try:
        _general_name(text)
    except ValueError:
        return False
    return bool(text)


def problems(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with a certificate's `common_name`, `days` and `hosts`."""
    found: dict[str, str] = {}
    name, days = inputs.get("common_name"), inputs.get("days")
    if not isinstance(name, str) or not 1 <= len(name) <= _LONGEST_NAME:
        found["common_name"] = f"must have 1 to {_LONGEST_NAME} characters"
    if not isinstance(days, int) or isinstance(days, bool) or days < 1:
        found["days"] = "must be a whole number, at least 1"
    hosts = inputs.get("hosts", [])
    wrong = [host for host in hosts if not isinstance(host, str) or not is_host(host)]
    if wrong:
        found["hosts"] = f"{wrong[0]!r} is neither a DNS name (ASCII) nor an IP address"
    return found


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    days: int,
    authority: x509.Certificate | None,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    until = now + datetime.timedelta(days=days)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key)
    signer = identifier
    if authority is not None:
        until = min(until, authority.not_valid_after_utc)
        signer = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(until)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer), critical=False
        )
    )


def _sealed(
    builder: x509.CertificateBuilder,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
) -> Issued:
    pem = serialization.Encoding.PEM
    return Issued(
        certificate=builder.sign(signer, hashes.SHA256()).public_bytes(pem),
        key=key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def _private_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the key isn't on an elliptic curve")
    return key


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
