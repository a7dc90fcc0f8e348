import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.bundles.challenges import Challenge, parse_challenges

BEARER = (
    'Bearer realm="https://auth.example.org/token",service="r",scope="repository:a/b:pull,push"'
)
PARAMETERS = {
    "realm": "https://auth.example.org/token",
    "service": "r",
    "scope": "repository:a/b:pull,push",
}


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        (BEARER, [Challenge("bearer", PARAMETERS)]),
        (BEARER.replace(",s", " , s").replace("=", " = "), [Challenge("bearer", PARAMETERS)]),
        ("BASIC Realm=x", [Challenge("basic", {"realm": "x"})]),
        (
            f'Basic realm="x", {BEARER}',
            [Challenge("basic", {"realm": "x"}), Challenge("bearer", PARAMETERS)],
        ),
        ('Basic realm="a \\"b\\" c"', [Challenge("basic", {"realm": 'a "b" c'})]),
        (
            "Negotiate abc==, Basic realm=x",
            [Challenge("negotiate"), Challenge("basic", {"realm": "x"})],
        ),
        ("Bearer", [Challenge("bearer")]),
        ('Bearer realm="x', [Challenge("bearer")]),
        ('Bearer realm="a",realm="b"', [Challenge("bearer", {"realm": "a"})]),
        ("", []),
        ('"', []),
        ("=,=", []),
        ("\u00e4", []),
    ],
)
def test_what_a_registry_asks_for(header, challenges):
    assert parse_challenges(header) == challenges


@given(st.text(alphabet='Bearer realm="\\,=\x00ä', max_size=200))
def test_any_header_is_read_to_its_end_or_to_what_is_rubbish(header):
    for challenge in parse_challenges(header):
        assert challenge.scheme == challenge.scheme.lower() != ""


def test_a_huge_header_is_cut_off():
    assert len(parse_challenges("a," * 10**6)) <= 8192
    assert {found.scheme for found in parse_challenges("a," * 10**6 + BEARER)} == {"a"}
