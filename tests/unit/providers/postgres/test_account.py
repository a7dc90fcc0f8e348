import os
from pathlib import Path

import pytest

from modelops.core.errors import ProviderError
from modelops.providers.local.postgres.account import let_in, server_account
from postgres_process import reachable_folder

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.skipif(os.geteuid() == 0, reason="root is who isn't everybody")
def test_as_a_user_it_runs_as_that_user() -> None:
    assert server_account() is None


@only_root
def test_our_folders_on_the_way_let_the_other_user_pass_and_no_more() -> None:
    account = server_account()
    assert account is not None
    with reachable_folder() as above:
        home, folder, beside = above / "home", above / "home/local/db", above / "home/secrets"
        for path in (home, home / "local", folder, beside):
            path.mkdir(mode=0o700)
        (home / "local").chmod(0o755)
        assert not account.can_enter(folder)
        let_in(account, folder, home)
        assert account.can_enter(folder)
        assert [mode(path) for path in (home, home / "local", folder)] == [0o711, 0o755, 0o711]
        assert mode(beside) == 0o700


@only_root
def test_a_folder_of_somebody_elses_is_left_as_it_is() -> None:
    account = server_account()
    assert account is not None
    with reachable_folder() as above:
        home, others = above / "home", above / "home/others"
        for path in (home, others, others / "db"):
            path.mkdir(mode=0o700)
        os.chown(others, 12345, -1)
        with pytest.raises(ProviderError, match=f"can't enter {others}") as caught:
            let_in(account, others / "db", home)
        assert "MODELOPS_HOME" in caught.value.hint
        assert mode(others) == 0o700
