"""The Certificate resource: a CA, or a certificate that one issued, with its key, in a folder.

The folder holds `tls.crt`, `tls.key` (mode 0600) and `ca.crt`; of a CA the first and the last are
the same. The key is never in the state.

Inputs:
    directory: where the three files are.
    common_name: the subject.
    hosts: DNS names and IP addresses that it is valid for; none for a CA.
    issuer: the folder of the CA; empty for a CA itself.
    issuer_fingerprint: that of the CA's certificate, so that a new CA issues anew.
    days: how long it is valid. When less than a third of that is left, the next `up` issues anew.

Outputs: the inputs, and
    fingerprint: SHA-256 of the certificate, hexadecimal; not_after: when it ends (ISO 8601, UTC);
    exists: whether the files are there as they were issued, and the key is private.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelops.core.errors import ProviderError
from modelops.providers.local.plugin import private_files

INPUTS: tuple[str, ...] = (
    "directory",
    "common_name",
    "hosts",
    "issuer",
    "issuer_fingerprint",
    "days",
)
OUTPUTS: tuple[str, ...] = ("fingerprint", "not_after", "exists")
SECRETS: frozenset[str] = frozenset()
AUTHORITY, CERTIFICATE, KEY = "ca.crt", "tls.crt", "tls.key"


def problems(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with the inputs: property → reason."""
    # Loading the library takes longer than all else here; most commands never need it.
    from modelops.providers.local.plugin import issuing  # noqa: PLC0415

    found = {name: "isn't a property of Certificate" for name in inputs if name not in INPUTS}
    if not Path(str(inputs.get("directory", ""))).is_absolute():
        found["directory"] = "must be an absolute path"
    if bool(inputs.get("hosts", [])) != bool(inputs.get("issuer")):
        found["hosts"] = "must name a host at least; of a CA (no issuer), none"
    return {**found, **issuing.problems(inputs)}


def changes(state: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[str]:
    """Return the properties by which it must be issued anew; the files are looked at."""
    changed = [name for name in INPUTS if state.get(name) != inputs.get(name)]
    if not refreshed(state)["exists"]:
        return [*changed, "exists"]
    return [*changed, "not_after"] if _ends_soon(state) else changed


def foreseen(_inputs: Mapping[str, Any], _old: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known before it's issued: that it will be there."""
    return {"exists": True}


def secret_outputs(_inputs: Mapping[str, Any]) -> frozenset[str]:
    """Return none: the key is no output."""
    return frozenset()


def make(
    _urn: str, _name: str, inputs: Mapping[str, Any], old: Mapping[str, Any]
) -> dict[str, Any]:
    """Issue the certificate, write the files and return the state.

    Raises:
        ProviderError: if the CA's files aren't there, or the files can't be written.
    """
    from modelops.providers.local.plugin import issuing  # noqa: PLC0415

    if inputs["issuer"]:
        authority = _read_issuer(Path(inputs["issuer"]))
        issued = issuing.issue_leaf(
            inputs["common_name"], inputs["hosts"], inputs["days"], authority
        )
        authority_certificate = authority.certificate
    else:
        issued = issuing.issue_authority(inputs["common_name"], inputs["days"])
        authority_certificate = issued.certificate
    folder = Path(inputs["directory"])
    # Whatever ends this half-way leaves files that don't fit each other, which is found out.
    private_files.write(folder / KEY, issued.key)
    private_files.write(folder / CERTIFICATE, issued.certificate)
    private_files.write(folder / AUTHORITY, authority_certificate)
    if old and old["directory"] != inputs["directory"]:
        remove(old)
    _, until = issuing.validity(issued.certificate)
    fingerprint = issuing.fingerprint(issued.certificate)
    return refreshed({**inputs, "fingerprint": fingerprint, "not_after": until.isoformat()})


def refreshed(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state with `exists` as it is now."""
    return {**state, "exists": _is_whole(state)}


def remove(state: Mapping[str, Any]) -> None:
    """Remove the files, and the folder if nothing else is in it."""
    folder = Path(state["directory"])
    private_files.remove(folder / KEY, folder / CERTIFICATE, folder / AUTHORITY)


def _read_issuer(folder: Path) -> Any:
    from modelops.providers.local.plugin import issuing  # noqa: PLC0415

    certificate = private_files.read(folder / CERTIFICATE)
    key = private_files.read(folder / KEY)
    if certificate is None or key is None:
        raise ProviderError(f"There is no CA in {folder}: {CERTIFICATE} and {KEY} are needed.")
    return issuing.Issued(certificate, key)


def _is_whole(state: Mapping[str, Any]) -> bool:
    from modelops.providers.local.plugin import issuing  # noqa: PLC0415

    folder = Path(state["directory"])
    key, certificate, authority = (
        private_files.read(folder / name) for name in (KEY, CERTIFICATE, AUTHORITY)
    )
    if key is None or certificate is None or authority is None:
        return False
    try:
        noted = issuing.fingerprint(certificate) == state["fingerprint"]
    except ValueError:
        return False
    return (
        noted
        and private_files.is_private(folder / KEY)
        and issuing.fits(issuing.Issued(certificate, key), authority)
    )


def _ends_soon(state: Mapping[str, Any]) -> bool:
    from modelops.providers.local.plugin import issuing  # noqa: PLC0415

    return issuing.ends_soon((Path(state["directory"]) / CERTIFICATE).read_bytes())
