"""`mops plan`: the table and the JSON are kept as snapshots, with the test's own paths replaced."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from rich.cells import cell_len
from syrupy.assertion import SnapshotAssertion

from modelops.bundles.template import create_bundle
from modelops.cli import main as cli
from modelops.cli.plan_table import cut

DEFAULT = """\
apiVersion: modelops/v1
kind: Runtime
metadata: {name: first}
spec:
  provider: {name: local}
  algorithms:
    fit:
      type: optuna
      entrypoint: {bundle: ./model, targets: [daily_cases], space: {beta: {low: 0.1, high: 1.0}}}
"""
FULL = """\
apiVersion: modelops/v1
kind: Runtime
metadata: {name: full, env: staging}
spec:
  provider: {name: local}
  registry: {managed: true, class: distribution, auth: htpasswd, tls: true, prefix: team/bundles}
  objectStore: {name: outputs, managed: true, class: local-dir, bucket: fits}
  databases: {trials: {engine: postgres}}
  workerGroups:
    big: {kind: processes, min: 0, max: 2, processes: 2, threads: 4}
  algorithms:
    optuna-calibration:
      type: optuna
      bindings: {workers: big, database: trials, objectStore: outputs}
      parameters: {sampler: cmaes, n_parallel: 8, n_trials: 500, replicates: 5, seed: 3}
      limits: {task_timeout: 10m, max_failures: 5}
      entrypoint:
        bundle: ./model
        targets: [daily_cases]
        space: {beta: {low: 0.1, high: 2.0, log: true}, contacts: {low: 1, high: 20, type: int},
                scenario: {choices: [a, b]}, n_agents: {value: 1000}}
"""
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
SEVERAL = f"""\
apiVersion: modelops/v1
kind: Runtime
metadata: {{name: several, env: prod}}
spec:
  provider: {{name: local}}
  databases: {{journal: {{}}, second-one: {{}}}}
  workerGroups:
    default-cpu: {{min: 4, max: 4}}
    numpy: {{min: 1, max: 1, threads: 4}}
  algorithms:
    tpe: &tpe
      type: optuna
      parameters: {{n_trials: 50}}
      entrypoint: &code
        bundleRef: ghcr.io/org/model@sha256:{DIGEST}
        targets: [daily_cases]
        space: {{beta: {{low: 0.1, high: 1.0}}}}
    random:
      <<: *tpe
      bindings: {{workers: numpy, database: second-one}}
      parameters: {{sampler: random, n_trials: 1000, replicates: 3}}
"""


@pytest.fixture
def project(tmp_path: Path, modelops_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # A path below it would be shown with a ~.
    monkeypatch.setenv("HOME", "/home/nobody")
    create_bundle(tmp_path / "model", "model")
    return tmp_path


def shown(project: Path, text: str, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    (project / "runtime.yaml").write_text(text)
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        cli.main(["plan", "-f", str(project / "runtime.yaml"), *arguments])
    out = capsys.readouterr().out
    assert not caught.value.code, out
    return out.replace(str(project), "<project>")


def without_digests(text: str) -> str:
    """Return the text without what follows from the starter's code and from a run's identity."""
    plain = re.sub(rf"model@sha256:(?!{DIGEST})[0-9a-f]{{64}}", "model@sha256:<digest>", text)
    return re.sub(r"\b(fit|optuna-calibration|tpe|random)-[0-9a-f]{8}\b", r"\1-<hash>", plain)


@pytest.mark.parametrize("spec", [DEFAULT, FULL, SEVERAL], ids=["default", "full", "several"])
def test_the_table(
    spec: str, project: Path, capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion
) -> None:
    assert without_digests(shown(project, spec, capsys)) == snapshot


@pytest.mark.parametrize("spec", [DEFAULT, FULL, SEVERAL], ids=["default", "full", "several"])
def test_the_json(
    spec: str, project: Path, capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion
) -> None:
    text = shown(project, spec, capsys, "--json")
    assert shown(project, spec, capsys, "--json") == text
    assert json.loads(text)["stacks"]
    assert without_digests(text) == snapshot
    assert not (project / "modelops").exists()


def test_a_tag_is_shown_as_one_and_nothing_is_asked(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Nobody listens there.
    tag = "oci://127.0.0.1:9/org/model:1.0.0"
    text = SEVERAL.replace(f"ghcr.io/org/model@sha256:{DIGEST}", tag)
    plan = json.loads(shown(project, text, capsys, "--json"))
    assert {item["bundle"]["tag"] for item in plan["plan"]["algorithms"]} == {tag}
    assert all(stack["run_id"] is None for stack in plan["stacks"])
    with pytest.raises(SystemExit):
        cli.main(["plan", "-f", str(project / "runtime.yaml")])
    assert f"tpe: the tag {tag} is resolved to a digest" in capsys.readouterr().err


def test_a_line_is_cut_to_the_terminal_by_cells() -> None:
    assert cut("short", 5) == "short"
    assert cut("a longer line", 8) == "a longe…"
    assert cell_len(cut("名前=日本語のフォルダ", 10)) <= 10
