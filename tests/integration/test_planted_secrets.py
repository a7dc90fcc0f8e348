"""Secrets of every kind, looked for everywhere; and the passphrase that the state is under."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import yaml

from conftest import command_of, processes_below
from integration.machine import (
    RUNNER,
    SCHEDULER,
    SUPERVISOR,
    WORKER,
    eventually,
    files_with,
    kill_all,
    modules_running,
)
from integration.registry_process import registry_binary

if TYPE_CHECKING:
    from integration.conftest import Mops

pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.timeout(300)]

IN_THE_ENVIRONMENT = {
    "PULUMI_CONFIG_PASSPHRASE": "planted-passphrase-5d1f",
    "AWS_SECRET_ACCESS_KEY": "planted-aws-77c0",
    "GITHUB_TOKEN": "planted-token-91aa",
}
A_USERS = "planted-by-hand-3e3e"
IN_THE_SPEC = "planted-in-the-spec-04b9"
# As long as the folder is there, only so many simulations get through, one after the other.
THROUGH = 4
HELD = f"""\
import pathlib
import time

import numpy as np

HOLD = pathlib.Path("{{hold}}")


def simulate(params, seed):
    while HOLD.is_dir() and len(list(HOLD.iterdir())) >= {THROUGH}:
        time.sleep(0.05)
    if HOLD.is_dir():
        (HOLD / str(seed)).touch()
    rng = np.random.default_rng(seed)
    x = np.arange(5)
    return {{{{"x": x, "y": params["slope"] * x + rng.normal(0, 0.1, 5)}}}}
"""


def with_registry(mops: Mops, **registry: Any) -> Mops:
    registry_binary()
    path = mops.folder / "runtime.yaml"
    spec = yaml.safe_load(path.read_text())
    spec["spec"]["registry"] = {"class": "distribution", **registry}
    path.write_text(yaml.safe_dump(spec))
    return mops


def test_a_secret_is_where_it_belongs_and_nowhere_else(mops_with_postgres: Mops) -> None:
    plain = with_registry(mops_with_postgres, auth="htpasswd", tls=True)
    mops = plain.with_environment(**IN_THE_ENVIRONMENT)
    said = []

    def run(*arguments: str, expect: int = 0) -> None:
        done = mops(*arguments, expect=expect)
        said.extend([done.stdout, done.stderr])

    try:
        spec = (mops.folder / "runtime.yaml").read_text()
        url = f"oci://modelops:{IN_THE_SPEC}@127.0.0.1:1"
        with_registry(mops, **{"class": "external", "url": url})
        try:
            for command in (["spec", "validate"], ["spec", "show"], ["plan"], ["up"]):
                run(*command, "--debug", expect=2)
        finally:
            (mops.folder / "runtime.yaml").write_text(spec)
        run("secrets", "set", "TOKEN", A_USERS)
        run("up", "--debug")
        run("adaptive", "status", "--watch")
        for stack in ("registry", "infra", "workspace"):
            run(stack, "outputs")
            run(stack, "outputs", "--json")
            run(stack, "status", "--json")
        for command in (["status"], ["plan"], ["plan", "--json"], ["logs"], ["secrets", "list"]):
            run(*command)
        for command in ("list", "results", "logs"):
            run("adaptive", command)
        run("secrets", "set", "TOKEN", A_USERS, "--debug", expect=2)
        run("registry", "down", "--debug", expect=2)
        secrets = [*IN_THE_ENVIRONMENT.values(), *_made_by_stacks(mops.home / "secrets")]
        secrets += [A_USERS, IN_THE_SPEC]
        assert len(secrets) >= 9
        for secret in secrets:
            assert not any(secret in text for text in said)
            assert files_with(mops.home, secret) == []
        running = processes_below(mops.home.resolve())
        assert running
        for process in running:
            # Backends of a database, warm children: some end while we look.
            with suppress(psutil.NoSuchProcess):
                seen = " ".join([*process.cmdline(), *process.environ().values()])
                assert not [secret for secret in secrets if secret in seen], process.cmdline()
    finally:
        down = mops("down", "--delete-data", "--yes", "--debug")
    assert not [secret for secret in secrets if secret in down.stdout + down.stderr]


def _made_by_stacks(folder: Path) -> list[str]:
    """Return passwords, URLs with one, and the inner lines of private keys."""
    found = []
    for path in (folder / "dev" / "stack").rglob("*"):
        if path.is_file() and path.suffix != ".crt" and "htpasswd" not in path.name:
            lines = path.read_text().splitlines()
            found.append(lines[1] if "PRIVATE KEY" in lines[0] else lines[0])
    return found


@pytest.mark.parametrize("how", ["ours", "variable", "file", "both"])
def test_the_passphrase_is_asked_for_and_a_wrong_one_is_named(
    mops: Mops, tmp_path: Path, how: str
) -> None:
    with_registry(mops, auth="htpasswd")
    file = tmp_path / "passphrase"
    file.write_text("correct horse\n")
    given: dict[str, str | None] = {
        "ours": {},
        "variable": {"PULUMI_CONFIG_PASSPHRASE": "correct horse"},
        "file": {"PULUMI_CONFIG_PASSPHRASE_FILE": str(file)},
        "both": {
            "PULUMI_CONFIG_PASSPHRASE": "correct horse",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(file),
        },
    }[how]
    right = mops.with_environment(**given)
    right("registry", "up")
    assert (mops.home / "passphrase").exists() == (how == "ours")
    wrong = mops.with_environment(PULUMI_CONFIG_PASSPHRASE="battery staple")
    refused = wrong("registry", "up", expect=1)
    assert "incorrect passphrase" in refused.stderr
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" in refused.stderr
    lost = mops.with_environment(PULUMI_CONFIG_PASSPHRASE_FILE=str(tmp_path / "lost"))
    assert "lost" in lost("registry", "up", expect=1).stderr
    assert set(right.json("registry", "up")["changes"]) == {"same"}
    right("down", "--delete-data", "--yes")


def test_everything_killed_at_once_goes_on_with_up(mops_with_postgres: Mops) -> None:
    postgres = {"journal": {"engine": "postgres"}}
    mops_with_postgres.write_spec(databases=postgres, n_parallel=THROUGH, replicates=1)
    mops = with_registry(mops_with_postgres, auth="htpasswd", tls=True)
    hold = mops.folder.parent / "hold"
    mops.write_model(HELD.format(hold=hold))
    hold.mkdir()
    run = mops.json("up")["runs"][0]
    # All that were asked for at first, so none of those that wait for them.
    eventually(lambda: _completed(mops, run) == THROUGH, seconds=60)
    there = modules_running(mops)
    assert all(there[module] for module in (SCHEDULER, SUPERVISOR, WORKER, RUNNER)), there
    programs = {Path(command[0]).name for command in map(command_of, _running(mops)) if command}
    assert {"postgres", "registry"} <= programs
    kill_all(mops)
    shutil.rmtree(hold)

    assert mops.json("up")["runs"] == [run]
    mops("adaptive", "status", "--watch", "--run-id", run)
    found = _sequence(mops.json("adaptive", "results", "--run-id", run))
    assert len(found) == 8
    mops("adaptive", "up", "--run-id", "undisturbed")
    assert _sequence(mops.json("adaptive", "results", "--run-id", "undisturbed")) == found
    mops("down", "--delete-data", "--yes")


def _completed(mops: Mops, run_id: str) -> int:
    return int(mops.json("adaptive", "status", "--run-id", run_id)["completed"])


def _running(mops: Mops) -> list[psutil.Process]:
    return processes_below(mops.home.resolve())


def _sequence(rows: list[dict[str, Any]]) -> list[tuple[int, float, float]]:
    return sorted((row["trial"], row["param.slope"], row["loss"]) for row in rows)
