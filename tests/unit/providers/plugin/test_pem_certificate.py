"""Certificates as text: a CA and what it issues, for what isn't on this machine."""

import datetime
from typing import Any

import pytest
from cryptography import x509

from modelops.providers.local.plugin import issuing, pem_certificate

CA = {
    "common_name": "CA",
    "hosts": [],
    "issuer_certificate": "",
    "issuer_key": "",
    "days": 3650,
}


def made(inputs: dict[str, Any]) -> dict[str, Any]:
    assert pem_certificate.problems(inputs) == {}
    return pem_certificate.make("urn", "name", inputs, {})


@pytest.fixture(scope="module")
def authority() -> dict[str, Any]:
    return made(CA)


def leaf_inputs(authority: dict[str, Any]) -> dict[str, Any]:
    issuer = {"issuer_certificate": authority["certificate"], "issuer_key": authority["key"]}
    return {"common_name": "leaf", "hosts": ["registry.dev.svc"], "days": 365, **issuer}


def test_the_authority_signs_what_it_issues(authority: dict[str, Any]) -> None:
    leaf = made(leaf_inputs(authority))
    issued = issuing.Issued(leaf["certificate"].encode(), leaf["key"].encode())
    assert issuing.fits(issued, authority["certificate"].encode())
    loaded = x509.load_pem_x509_certificate(issued.certificate)
    names = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["registry.dev.svc"]
    assert leaf["fingerprint"] == issuing.fingerprint(issued.certificate)
    assert datetime.datetime.fromisoformat(leaf["not_after"]) == loaded.not_valid_after_utc


def test_the_keys_are_secrets(authority: dict[str, Any]) -> None:
    assert "issuer_key" in pem_certificate.SECRETS
    assert pem_certificate.secret_outputs(leaf_inputs(authority)) == {"key"}


def test_it_stays_until_an_input_changes(authority: dict[str, Any]) -> None:
    inputs = leaf_inputs(authority)
    leaf = made(inputs)
    assert pem_certificate.changes(leaf, inputs) == []
    assert pem_certificate.refreshed(leaf) == leaf
    assert pem_certificate.changes(leaf, {**inputs, "hosts": ["other"]}) == ["hosts"]
    assert pem_certificate.changes(leaf, leaf_inputs(made(CA))) == [
        "issuer_certificate",
        "issuer_key",
    ]


@pytest.mark.parametrize(("passed", "renewed"), [(240, []), (250, ["not_after"])])
def test_it_is_renewed_when_a_third_is_left(
    authority: dict[str, Any], monkeypatch: pytest.MonkeyPatch, passed: int, renewed: list[str]
) -> None:
    inputs = leaf_inputs(authority)
    leaf = made(inputs)
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=passed)

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return later

    monkeypatch.setattr(issuing.datetime, "datetime", Later)
    assert pem_certificate.changes(leaf, inputs) == renewed


@pytest.mark.parametrize(
    ("change", "property_"),
    [
        ({"common_name": ""}, "common_name"),
        ({"days": 0}, "days"),
        ({"hosts": []}, "hosts"),
        ({"hosts": ["ä.example"]}, "hosts"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_what_cant_be_issued_is_refused(
    authority: dict[str, Any], change: dict[str, Any], property_: str
) -> None:
    assert list(pem_certificate.problems({**leaf_inputs(authority), **change})) == [property_]


def test_an_issuer_that_isnt_known_yet_is_no_problem(authority: dict[str, Any]) -> None:
    inputs = leaf_inputs(authority)
    del inputs["issuer_certificate"], inputs["issuer_key"]
    assert pem_certificate.problems(inputs) == {}
