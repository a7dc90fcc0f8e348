"""The PemCertificate resource: a CA, or a certificate that one issued, as text in the state.

For what isn't on this machine: whoever declares it puts the text where it's needed. The keys are
secrets in the state.

Inputs:
    common_name: the subject.
    hosts: DNS names and IP addresses that it is valid for; none for a CA.
    issuer_certificate, issuer_key: those of the CA; both empty for a CA itself.
    days: how long it is valid. When less than a third of that is left, the next `up` issues anew.

Outputs: the inputs, and
    certificate, key: PEM; fingerprint: SHA-256 of the certificate, hexadecimal; not_after: when it
    ends (ISO 8601, UTC).
"""

from collections.abc import Mapping
from typing import Any

INPUTS: tuple[str, ...] = ("common_name", "hosts", "issuer_certificate", "issuer_key", "days")
OUTPUTS: tuple[str, ...] = ("certificate", "key", "fingerprint", "not_after")
SECRETS: frozenset[str] = frozenset({"issuer_key"})


def problems(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with the inputs: property → reason."""
    # Loading the library takes longer than all else here; most commands never need it.
    from modelops.providers.local.plugin import issuing  # noqa: PLC0415

    found = {name: "isn't a property of PemCertificate" for name in inputs if name not in INPUTS}
    # An issuer that isn't known yet is left out.
    is_issued = bool(inputs.get("issuer_certificate", True))
    if bool(inputs.get("hosts", [])) != is_issued:
        found["hosts"] = "must name a host at least; of a CA (no issuer), none"
    return {**found, **issuing.problems(inputs)}


def changes(state: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[str]:
    """Return the properties by which it must be issued anew."""
    from modelops.providers.local.plugin import issuing  # noqa: PLC0415

    changed = [name for name in INPUTS if state.get(name) != inputs.get(name)]
    ends_soon = issuing.ends_soon(state["certificate"].encode())
    return [*changed, "not_after"] if ends_soon else changed


def foreseen(_inputs: Mapping[str, Any], _old: Mapping[str, Any]) -> dict[str, Any]:
    """Return nothing: all of it is new."""
    return {}


def secret_outputs(_inputs: Mapping[str, Any]) -> frozenset[str]:
    """Return the key."""
    return frozenset({"key"})


def make(
    _urn: str, _name: str, inputs: Mapping[str, Any], _old: Mapping[str, Any]
) -> dict[str, Any]:
    """Issue the certificate and return the state."""
    from modelops.providers.local.plugin import issuing  # noqa: PLC0415

    name, days = inputs["common_name"], inputs["days"]
    if inputs["issuer_certificate"]:
        issuer = issuing.Issued(
            inputs["issuer_certificate"].encode(), inputs["issuer_key"].encode()
        )
        issued = issuing.issue_leaf(name, inputs["hosts"], days, issuer)
    else:
        issued = issuing.issue_authority(name, days)
    _, until = issuing.validity(issued.certificate)
    return {
        **inputs,
        "certificate": issued.certificate.decode(),
        "key": issued.key.decode(),
        "fingerprint": issuing.fingerprint(issued.certificate),
        "not_after": until.isoformat(),
    }


def refreshed(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state as it is: there is nothing to look at."""
    return dict(state)


def remove(_state: Mapping[str, Any]) -> None:
    """Do nothing: it is in the state alone."""
