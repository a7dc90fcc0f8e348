from __future__ import annotations

import os
import subprocess

import pytest

from modelops.core.errors import SecretError
from modelops.environments.git_credentials import git_variables

LOGINS = "https://x-access-token:to%2Fken@git.example.org\nhttps://me:other@example.com:8443\n"


def _fill(url: str) -> dict[str, str]:
    """Ask git itself for the login at a URL."""
    done = subprocess.run(
        ["git", "credential", "fill"],
        input=f"url={url}\n\n",
        env={"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", **git_variables(LOGINS)},
        capture_output=True,
        text=True,
        check=False,
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def test_git_finds_each_hosts_login_and_no_others() -> None:
    first = _fill("https://git.example.org/group/seir.git")
    assert (first["username"], first["password"]) == ("x-access-token", "to/ken")
    assert _fill("https://example.com:8443/seir.git")["password"] == "other"
    for url in ("https://example.com/seir.git", "http://git.example.org/x.git"):
        assert "password" not in _fill(url)


def test_no_setting_has_a_token_in_it() -> None:
    settings = {n: v for n, v in git_variables(LOGINS).items() if n.startswith("GIT_CONFIG")}
    assert settings
    assert not [value for value in settings.values() if "ken" in value or "other" in value]
    assert git_variables("") == {}


@pytest.mark.parametrize(
    "line", ["secret-word", "https://git.example.org", "https://secret-word@git", "ssh://a:b@host",
             "https://a:secret-word@host:port"]
)  # fmt: skip
def test_what_is_no_login_is_not_repeated(line: str) -> None:
    with pytest.raises(SecretError, match="Line 2") as caught:
        git_variables(f"https://me:other@host\n{line}")

    assert "secret-word" not in str(caught.value)
