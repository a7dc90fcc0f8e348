"""Logins in docker's and podman's files; integration tests start the helpers that they name."""

import base64
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.bundles.credentials import Credentials
from modelops.bundles.docker_config import find_login, login_files
from modelops.core.errors import BundleError

SECRET = "planted:pass word"


def entry(user="me", password=SECRET):
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "config.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("ghcr.io", "ghcr.io"),
        ("GHCR.io", "ghcr.io"),
        ("https://ghcr.io", "ghcr.io"),
        ("https://ghcr.io/v1/", "ghcr.io"),
        ("http://ghcr.io/v2", "ghcr.io"),
        ("ghcr.io/v1/", "ghcr.io"),
        ("ghcr.io/", "ghcr.io"),
        ("host.example.org:5000", "host.example.org:5000"),
        ("https://host.example.org:5000/v2/", "host.example.org:5000"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("https://index.docker.io/v1/", "registry-1.docker.io"),
        ("localhost:5000", "127.0.0.1:5000"),
        ("127.0.0.1:5000", "localhost:5000"),
    ],
)
def test_a_host_is_found_however_it_is_spelt(write, name, host):
    path = write({"auths": {"other.example.org": entry("you"), name: entry()}})
    assert find_login(host, path) == Credentials(str(path), "me", SECRET)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("ghcr.io", "ghcr.io:5000"),
        ("ghcr.io:5000", "ghcr.io"),
        ("ghcr.io/team", "ghcr.io"),
        ("io", "ghcr.io"),
        ("ghcr.io.example.org", "ghcr.io"),
        ("localhost:5000", "127.0.0.1:5001"),
        ("localhost.example.org", "127.0.0.1"),
    ],
)
def test_a_login_of_another_host_is_nobodys_business(write, name, host):
    assert find_login(host, write({"auths": {name: entry()}})) is None


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"username": "me", "password": SECRET}, Credentials("", "me", SECRET)),
        ({"auth": "bWU6cGFzcwAA"}, Credentials("", "me", "pass")),
        (
            {**entry("00000000-0000-0000-0000-000000000000", ""), "identitytoken": SECRET},
            Credentials("", identity_token=SECRET),
        ),
        ({"identitytoken": SECRET}, Credentials("", identity_token=SECRET)),
        ({"email": "me@example.org"}, None),
        ({}, None),
        ("", None),
    ],
)
def test_forms_of_a_login(write, content, found):
    path = write({"auths": {"ghcr.io": content}})
    login = find_login("ghcr.io", path)
    assert (login and (login.username, login.password, login.identity_token)) == (
        found and (found.username, found.password, found.identity_token)
    )


@pytest.mark.parametrize("content", ["", "{}", '{"auths": null}', '{"auths": {}, "x": 1}'])
def test_a_file_without_logins_is_one_of_nobody(write, content):
    assert find_login("ghcr.io", write(content)) is None


def test_without_a_file_nobody_is_logged_in(tmp_path, write):
    assert find_login("ghcr.io", tmp_path / "none") is None
    assert find_login("ghcr.io", write("{}") / "below") is None


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (f'{{"auths": {{"ghcr.io": {SECRET}', "isn't JSON"),
        ("[" * 100_000, "isn't JSON"),
        (f'["{SECRET}"]', "isn't a JSON object"),
        ({"auths": [SECRET]}, "auths isn't a JSON object"),
        ({"credHelpers": SECRET}, "credHelpers isn't a JSON object"),
        ({"auths": {"ghcr.io": {"auth": f"{SECRET}!"}}}, "auth of ghcr.io isn't base64"),
        ({"auths": {"ghcr.io": {"auth": "/w=="}}}, "auth of ghcr.io isn't base64"),
        ({"auths": {"ghcr.io": {"auth": "cGxhbnRlZA=="}}}, "auth of ghcr.io isn't user:password"),
        ({"auths": {"ghcr.io": {"password": [SECRET]}}}, "password of ghcr.io isn't text"),
        ({"credsStore": f"../{SECRET}"}, "the name of a credential helper isn't one"),
        ({"credHelpers": {"ghcr.io": 1}}, "the name of a credential helper isn't one"),
        (" " * (4 * 2**20 + 1), "larger than"),
    ],
)
def test_a_file_that_is_not_dockers_is_an_error_that_repeats_nothing_of_it(write, content, why):
    path = write(content)
    with pytest.raises(BundleError, match=why) as caught:
        find_login("ghcr.io", path)
    assert str(path) in str(caught.value)
    assert SECRET not in repr(caught.value) + str(caught.value)
    assert caught.value.__cause__ is None


# Values of every kind, so that each is tried in each place.
VALUES = st.sampled_from([None, True, 1, "", "x", "bWU6cA==", "\u00e4", [], ["x"], {}, {"auth": 1}])
ENTRIES = st.dictionaries(
    st.sampled_from(["auth", "username", "password", "identitytoken"]), VALUES
)
SECTIONS = st.dictionaries(
    st.sampled_from(["ghcr.io", "https://ghcr.io/v1/", ""]), VALUES | ENTRIES
)


@given(VALUES | st.fixed_dictionaries({"auths": VALUES | SECTIONS}))
def test_any_file_has_a_login_or_none_or_is_named(config):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(json.dumps(config))
        try:
            found = find_login("ghcr.io", path)
        except BundleError as error:
            refused = error.message
        else:
            refused = str(path)
            assert found is None or found.username or found.identity_token
        assert str(path) in refused


def test_a_folder_in_its_place_is_an_error(tmp_path):
    with pytest.raises(BundleError, match="it can't be read: Is a directory"):
        find_login("ghcr.io", tmp_path)


def test_an_entry_of_the_file_goes_before_the_helper_of_all_hosts(write):
    path = write({"auths": {"ghcr.io": entry()}, "credsStore": "nowhere"})
    assert find_login("ghcr.io", path).username == "me"


def test_the_files_in_their_order(tmp_path):
    home = {"HOME": "/home/me"}
    assert list(map(str, login_files(home))) == [
        "/home/me/.docker/config.json",
        "/home/me/.config/containers/auth.json",
    ]
    named = {"REGISTRY_AUTH_FILE": "/a.json", "DOCKER_CONFIG": "/docker"}
    podmans = {"XDG_RUNTIME_DIR": "/run/user/1", "XDG_CONFIG_HOME": "/config"}
    assert list(map(str, login_files({**home, **named, **podmans}))) == [
        "/a.json",
        "/docker/config.json",
        "/run/user/1/containers/auth.json",
        "/config/containers/auth.json",
    ]


def test_no_secret_is_in_what_describes_a_login():
    login = Credentials("/config.json", "me", SECRET, "planted-token")
    assert "planted" not in f"{login} {login!r}"
