"""What a run leaves, from the command line: its table, other losses, replays, reports."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pandas
import pytest
import yaml

if TYPE_CHECKING:
    from integration.conftest import Mops

# Each call of mops is an engine operation or more, a second or two each on an idle machine.
pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.timeout(300)]

OTHER = """
from modelops.calibration import AbsoluteError, Target, target


@target
def ends():
    return Target({"x": [0, 4], "y": [0.0, 8.0]}, on="x", value="y", loss=AbsoluteError())
"""
# Once the file is there, replicates of an even seed give something else.
CHANGES = """
import pathlib

import numpy as np


def simulate(params, seed):
    rng = np.random.default_rng(seed)
    x = np.arange(5)
    other = 1e-9 if pathlib.Path("{changed}").exists() and seed % 2 == 0 else 0.0
    return {{"x": x, "y": params["slope"] * x + rng.normal(0, 0.1, 5) + other}}
"""


def test_a_run_is_scored_replayed_compared_and_reported(mops: Mops) -> None:
    changed = mops.folder.parent / "changed"
    mops.write_model(CHANGES.format(changed=changed))
    mops.write_spec(keep_outputs=True, replicates=6)
    run_id = mops("up").stdout.strip()
    mops("adaptive", "status", "--watch", "--quiet")

    written = mops("adaptive", "results", "--output", "results.parquet")
    assert "results.parquet lies in the bundle project and would be packed" in written.stderr
    frame = pandas.read_parquet(mops.folder / "results.parquet")
    (mops.folder / ".mopsignore").write_text("runtime.yaml\n*.parquet\n*.html\n")
    assert list(zip(frame["trial"], frame["replicate"], strict=True)) == [
        (trial, replicate) for trial in range(8) for replicate in range(6)
    ]
    best = mops.json("adaptive", "results", "--top", "1")[0]
    assert best["loss"] == frame["loss"].min()
    assert len(best["seeds"]) == 6

    (mops.folder.parent / "other.py").write_text(OTHER)
    options = ("--targets", "../other.py", "--output", "rescored.parquet")
    rescored = mops.json("adaptive", "rescore", *options)
    assert (rescored["rescored"], rescored["pruned"], rescored["failed"]) == (8, [], [])
    both = pandas.read_parquet(mops.folder / "rescored.parquet")
    assert both["old_loss"].tolist() == frame["loss"][frame["replicate"] == 0].tolist()
    assert both["new_loss"].min() == rescored["best"][0]["new_loss"]
    mops("adaptive", "rescore", "--targets", "nowhere.py", expect=2)

    number = str(best["trial"])
    same = mops.json("adaptive", "replay", "--trial", number)
    assert same["same"]
    assert {item["outputs"] for item in same["replicates"]} == {"same"}
    changed.touch()
    differs = mops.json("adaptive", "replay", "--trial", number, expect=1)
    for item in differs["replicates"]:
        assert item["outputs"] == ("different" if item["seed"] % 2 == 0 else "same")
    assert not differs["same"]
    mops("adaptive", "replay", "--trial", "8", expect=4)

    mops.write_spec(keep_outputs=True, seed=8)
    mops("adaptive", "up", "--run-id", "other", "--quiet")
    compared = mops.json("adaptive", "compare", run_id, "other", "--exit-code", expect=3)
    # The bundle has another .mopsignore by now.
    paths = {item["path"] for item in compared["plan"]}
    assert paths == {"seed", "replicates", "bundle_ref"}
    assert compared["first_difference"]["trial"] == 0

    reported = mops.json("adaptive", "report", "--run-id", run_id)
    html = (mops.folder / f"{run_id}.html").read_text()
    assert reported["bytes"] == len(html.encode())
    embedded = re.search(r'id="figures">(.*?)</script>', html, re.DOTALL)
    assert embedded is not None
    figures = json.loads(embedded[1])
    assert len(figures["loss"]["data"][0]["x"]) == 8
    observed = next(item for item in figures["fit-0-0"]["data"] if item["name"] == "observed")
    assert observed["y"] == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert best["bundle"] in html

    mops("adaptive", "prune", "--older-than", "1s")
    gone = mops("adaptive", "rescore", "--targets", "../other.py", "--run-id", run_id, expect=4)
    assert "8 trials have no stored outputs" in gone.stderr
    assert "0-7" in gone.stderr
    assert "aren't stored" in _report(mops, run_id)


def _report(mops: Mops, run_id: str) -> str:
    mops("adaptive", "report", "--run-id", run_id, "-o", "again.html")
    return (mops.folder / "again.html").read_text()


def test_a_selftest_recovers_what_the_data_fix_and_no_more(mops: Mops) -> None:
    mops("registry", "up")
    mops("infra", "up")
    mops("workspace", "up")
    mops.write_spec(keep_outputs=True, sampler="random", n_trials=300)

    found = mops.json("adaptive", "selftest", "--params", '{"slope": 3.1}', "--trials", "60")

    (slope,) = found["parameters"]
    assert (slope["truth"], slope["verdict"]) == (3.1, "recovered")
    assert abs(slope["found"] - 3.1) < 0.4
    assert found["trials"] == 60
    assert found["run_id"].startswith("selftest-")
    listed = mops.json("adaptive", "list")
    assert [(run["run_id"], run["state"]) for run in listed] == [(found["run_id"], "finished")]
    # The same test is the same run: nothing is simulated twice.
    again = mops.json("adaptive", "selftest", "--params", '{"slope": 3.1}', "--trials", "60")
    assert again == found

    # A slope that has no say is found nowhere.
    mops.write_model(
        "import numpy as np\n\n\ndef simulate(params, seed):\n"
        "    rng = np.random.default_rng(seed)\n"
        "    return {'x': np.arange(5), 'y': rng.normal(0, 0.1, 5)}\n"
    )
    other = mops.json("adaptive", "selftest", "--trials", "30", expect=1)
    assert other["parameters"][0]["verdict"] != "recovered"
    mops("adaptive", "selftest", "--params", '{"slop": 1}', expect=2)


def test_a_selftest_of_too_few_trials_is_refused_before_anything_is_done(mops: Mops) -> None:
    mops.write_spec(keep_outputs=True, sampler="random", n_trials=5_000)
    file = mops.folder / "runtime.yaml"
    spec = yaml.safe_load(file.read_text())
    algorithm = spec["spec"]["algorithms"]["fit"]
    del algorithm["parameters"]["sampler"]
    algorithm["type"] = "abc-smc"
    algorithm["parameters"]["population_size"] = 500
    file.write_text(yaml.safe_dump(spec))

    refused = mops("adaptive", "selftest", expect=2)

    assert "A self-test of 100 trials doesn't suit fit (abc-smc)" in refused.stderr
    assert "--trials 5000" in refused.stderr


def test_a_selftest_of_a_spec_that_demands_a_signature(mops: Mops) -> None:
    mops("bundle", "keygen", "../key")
    mops.write_spec(keep_outputs=True, sampler="random", n_trials=300)
    file = mops.folder / "runtime.yaml"
    spec = yaml.safe_load(file.read_text())
    entrypoint = spec["spec"]["algorithms"]["fit"]["entrypoint"]
    entrypoint["require_signature"] = {"publicKey": "../key.pub"}
    file.write_text(yaml.safe_dump(spec))
    for stack in ("registry", "infra", "workspace"):
        mops(stack, "up")
    given = ("adaptive", "selftest", "--params", '{"slope": 3.1}', "--trials", "60")

    # Neither the model nor the targets of a bundle that nobody signed are run.
    refused = mops(*given, expect=1)
    assert "isn't signed" in refused.stderr
    assert "simulating" not in refused.stderr
    assert mops.json("adaptive", "list") == []

    mops("bundle", "push", "--sign", "../key.pem", ".")
    found = mops.json(*given)
    assert (found["recovered"], found["trials"]) == (True, 60)
    # The run's own bundle must be signed as before: no other is taken for it.
    mops.write_model("def simulate(params, seed):\n    return {'x': [0], 'y': [1.0]}\n")
    assert "isn't signed" in mops(*given, expect=1).stderr
