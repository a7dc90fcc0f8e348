"""Specs that the tests of `modelops.spec` start from."""

import re
from pathlib import Path

import pytest

SMALL = """\
apiVersion: modelops/v1
kind: Runtime
metadata: {name: sir}
spec:
  provider: {name: local}
  algorithms:
    calibration:
      type: optuna
      parameters: {n_trials: 300, replicates: 10, seed: 1}
      entrypoint:
        bundle: .
        targets: [prevalence]
        space: {beta: {low: 0.5, high: 4}, gamma: {low: 0.1, high: 1.0}}
"""

FULLEST = """\
apiVersion: modelops/v1
kind: Runtime
metadata:
  name: prod
  env: prod
spec:
  provider:
    name: azure
    subscription_id: "00000000-0000-0000-0000-000000000000"
    location: eastus2
    resource_group: modelops-rg
    per_user_registry: false
    aks: {name: modelops-aks, managed: true}
  registry: {managed: true, class: acr, prefix: team/bundles}
  objectStore: {name: results, managed: true, class: azure-blob, bucket: calabaria-results}
  databases:
    optuna: {engine: postgres, managed: true, size: small}
  workerGroups:
    default-cpu:
      kind: k8s-pool
      profile: cpu
      min: 2
      max: 6
      processes: 2
      threads: 1
      spot: false
      resources: {cpu: "4", memory: "16Gi"}
      image: {ref: ghcr.io/org/calabaria-worker:main, pullSecret: ghcr-pull}
    gpu-calib:
      kind: k8s-pool
      profile: gpu
      min: 0
      max: 2
      gpu: {vendor: nvidia, count: 1, model: "A10"}
  algorithms:
    optuna-calibration:
      type: optuna
      bindings: {workers: default-cpu, database: optuna, objectStore: results}
      parameters: {sampler: tpe, n_parallel: 16, n_trials: 500, replicates: 5, seed: 1, order: ask}
      execution: {isolation: warm, environment: layered, keepOutputs: true, profile: false}
      limits:
        task_timeout: 10m
        task_memory: 2Gi
        run_timeout: 8h
        max_failures: 0.2
        max_cost: 50
        target_loss: 0.01
        patience: 200
      entrypoint:
        module: "calabaria.runners.optuna:main"
        bundleRef: "oci://ghcr.io/org/model-bundle@sha256:DIGEST"
        require_signature: {publicKey: cosign.pub}
        model: sir
        targets: [prevalence]
        space:
          beta: {low: 0.1, high: 2.0, log: true}
          contacts: {low: 1, high: 20, type: int}
          scenario: {choices: [a, b]}
          n_agents: {value: 1000}
        constraints: [beta * contacts < 20]
""".replace("DIGEST", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")


# The same without what nothing reads yet, so that it compiles.
CLOUD = re.sub(
    r" +(execution|task_memory|run_timeout|max_cost|target_loss|patience|module|require_signature)"
    r": .*\n",
    "",
    FULLEST,
)

KUBERNETES = re.sub(r"(?s)  provider:\n.*?  registry: .*?\n", """\
  provider:
    name: kubernetes
    kubeconfig: ~/.kube/config
    context: my-cluster
    storageClass: standard
    namespace: modelling
    external: true
  registry: {class: external, url: ghcr.io, prefix: team/bundles}
""", CLOUD).replace("azure-blob, bucket: calabaria-results", "pvc")  # fmt: skip


@pytest.fixture(scope="session")
def cloud() -> str:
    """The fullest that compiles, for azure."""
    return CLOUD


@pytest.fixture(scope="session")
def kubernetes() -> str:
    """The fullest that compiles, for a cluster that is there already."""
    return KUBERNETES


@pytest.fixture(scope="session")
def small() -> str:
    """The least that is enough on a laptop."""
    return SMALL


@pytest.fixture(scope="session")
def fullest() -> str:
    """Every key of the format."""
    return FULLEST


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A directory that is a bundle."""
    (tmp_path / "manifest.json").write_text("{}")
    return tmp_path
