"""What the components declare, seen by the engine's mocks; the real cluster is for tests/e2e."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from syrupy.assertion import SnapshotAssertion

from kubernetes_plans import PLAN, provider
from modelops.contracts import BindingOutputs, SecretRef
from modelops.providers.kubernetes.components import run
from modelops.providers.kubernetes.components.stacks import declare_stack
from modelops.providers.kubernetes.plan import compile_plan
from modelops.spec.plan import CompiledPlan, DatabasePlan, ObjectStorePlan, RegistryPlan

PASSWORD = "p" * 32
PEM = {"certificate": "CERTIFICATE", "key": "-----KEY-----", "fingerprint": "ab12"}


@dataclass
class Engine(pulumi.runtime.Mocks):
    """Takes every resource as made, and remembers it: (kind, name) → inputs."""

    made: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def new_resource(
        self, args: pulumi.runtime.MockResourceArgs
    ) -> tuple[str | None, dict[Any, Any]]:
        kind = args.typ.rsplit(":", 1)[-1]
        # A component has no inputs, and nothing is made of it.
        if not args.typ.startswith("modelops:kubernetes:"):
            self.made[kind, args.name] = dict(args.inputs)
        more = {"PemCertificate": PEM, "Random": {"value": PASSWORD}}.get(kind, {})
        return args.name, {**args.inputs, **more}

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[str, Any]:
        raise AssertionError(args.token)


@dataclass(frozen=True)
class Declared:
    """All that the stacks of a plan declare, and what the last of them hands on."""

    objects: dict[tuple[str, str], dict[str, Any]]
    bindings: BindingOutputs

    def pods(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for (kind, name), inputs in self.objects.items():
            if kind in ("Deployment", "StatefulSet", "Job"):
                yield name, inputs["spec"]["template"]


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[CompiledPlan], Declared]:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text("{current-context: here, contexts: [{name: here}]}")
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    # There is no cluster to ask.
    monkeypatch.setattr(run, "next_attempt", lambda _properties, _name: 1)

    def declare_all(plan: CompiledPlan) -> Declared:
        engine, known = Engine(), BindingOutputs()
        pulumi.runtime.set_mocks(engine, preview=False)
        for stack in compile_plan(plan).stacks:
            found: list[BindingOutputs] = []

            @pulumi.runtime.test
            def program(stack=stack, known=known, found=found) -> Any:  # type: ignore[no-untyped-def]
                return declare_stack(stack, known).apply(found.append)

            program()
            known = known.merged(found[-1])
        return Declared(engine.made, known)

    return declare_all


def test_the_objects_of_a_plain_spec(
    declare: Callable[[CompiledPlan], Declared], snapshot: SnapshotAssertion
) -> None:
    declared = declare(PLAN)
    documents = {
        f"{kind} {name}": inputs
        for (kind, name), inputs in sorted(declared.objects.items())
        if kind not in ("PemCertificate", "Random", "kubernetes")
    }
    assert yaml.safe_dump(documents, sort_keys=True) == snapshot


def test_what_the_stacks_hand_on(declare: Callable[[CompiledPlan], Declared]) -> None:
    bindings = declare(PLAN).bindings
    assert {name: bindings.env[name] for name in ("DASK_SCHEDULER", "OBJECT_STORE_URL")} == {
        "DASK_SCHEDULER": "tls://dask-scheduler.modelops-dask-dev.svc:8786",
        "OBJECT_STORE_URL": "file:///var/lib/modelops/objects",
    }
    assert bindings.env["MODELOPS_BUNDLE_REGISTRY"] == "registry.modelops-dask-dev.svc:5000"
    assert bindings.secrets["DATABASE_URL_JOURNAL"] == SecretRef("k8s", "database-journal", "url")
    assert {ref.kind for ref in bindings.secrets.values()} == {"k8s"}


def test_every_pod_is_restricted(declare: Callable[[CompiledPlan], Declared]) -> None:
    declared = declare(PLAN)
    found = dict(declared.pods())
    assert set(found) == {
        *("registry", "objects-results", "database-journal"),
        *("dask-scheduler", "dask-workers", "dask-scaler", "run-first"),
    }
    for name, template in found.items():
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] == 1000, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is (name == "dask-scaler"), name
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
        assert template["metadata"]["labels"]["modelops/env"] == "dev", name


def test_no_secret_is_in_a_pod(declare: Callable[[CompiledPlan], Declared]) -> None:
    for name, template in declare(PLAN).pods():
        text = yaml.safe_dump(template)
        assert PASSWORD not in text, name
        assert PEM["key"] not in text, name


def test_a_pod_gets_the_keys_of_secrets_that_it_needs_and_no_others(
    declare: Callable[[CompiledPlan], Declared],
) -> None:
    templates = dict(declare(PLAN).pods())

    def keys(pod: str) -> dict[str, list[str]]:
        sources = [each["secret"] for each in templates[pod]["spec"]["volumes"] if "secret" in each]
        return {
            source["secretName"]: sorted(item["key"] for item in source.get("items", []))
            for source in sources
        }

    dask = {"dask-tls": ["ca.crt", "tls.crt", "tls.key"]}
    assert keys("dask-scheduler") == keys("dask-scaler") == dask
    assert keys("registry") == {
        "registry-login": ["htpasswd"],
        "registry-tls": ["tls.crt", "tls.key"],
    }
    registry = {"registry-login": ["password"], "registry-tls": ["ca.crt"]}
    assert keys("dask-workers") == {**dask, **registry, "modelops-secrets": []}
    assert keys("run-first") == {
        **dask,
        **registry,
        "modelops-secrets": [],
        "database-journal": ["url"],
    }


def test_stores_outside_of_the_cluster_are_reached_by_the_users_secrets(
    declare: Callable[[CompiledPlan], Declared],
) -> None:
    options = {
        "objectStore": {
            "env": {"AWS_ENDPOINT_URL": "https://s3.example"},
            "secretEnv": {"AWS_SECRET_ACCESS_KEY": "s3-key"},
        },
        "registry": {"username": "me", "passwordFrom": "token"},
    }
    plan = replace(
        PLAN,
        provider=provider(**options),
        registry=RegistryPlan("external", managed=False, url="ghcr.io"),
        object_store=ObjectStorePlan("results", "s3", managed=False, bucket="epi"),
        databases=(DatabasePlan("journal", managed=False, url_from="journal-url"),),
    )
    declared = declare(plan)
    assert not [
        key for key in declared.objects if key[0] in ("StatefulSet", "PersistentVolumeClaim")
    ]
    (container,) = dict(declared.pods())["run-first"]["spec"]["containers"]
    env = {item["name"]: item.get("value") or item.get("valueFrom") for item in container["env"]}
    assert env["OBJECT_STORE_URL"] == "s3://epi"
    assert env["AWS_ENDPOINT_URL"] == "https://s3.example"
    assert env["AWS_SECRET_ACCESS_KEY"] == {
        "secretKeyRef": {"name": "modelops-secrets", "key": "s3-key"}
    }
    assert env["MODELOPS_BUNDLE_REGISTRY"] == "ghcr.io"
    assert env["MODELOPS_BUNDLE_REGISTRY_PASSWORD_FILE"] == (
        "/etc/modelops/bindings/MODELOPS_BUNDLE_REGISTRY_PASSWORD/token"
    )
    assert env["DATABASE_URL_FILE"] == "/etc/modelops/bindings/DATABASE_URL/journal-url"
    assert "AWS_SECRET_ACCESS_KEY_FILE" not in env


def test_a_namespace_that_is_there_already_isnt_touched(
    declare: Callable[[CompiledPlan], Declared],
) -> None:
    given = provider(namespace="epi", createNamespace=False)
    declared = declare(replace(PLAN, provider=given))
    kinds = {kind for kind, _ in declared.objects}
    assert "Namespace" not in kinds
    assert "NetworkPolicy" in kinds
    namespaces = {
        inputs["metadata"]["namespace"]
        for inputs in declared.objects.values()
        if "metadata" in inputs
    }
    assert namespaces == {"epi"}


def test_the_scaler_may_change_the_groups_that_it_scales_and_no_more(
    declare: Callable[[CompiledPlan], Declared],
) -> None:
    rules = declare(PLAN).objects["Role", "modelops-scaler"]["rules"]
    changing = [
        rule for rule in rules if rule["resources"] != ["pods"] and "patch" in rule["verbs"]
    ]
    assert [rule["resourceNames"] for rule in changing] == [["dask-workers"]] * 2
    verbs = {verb for rule in rules for verb in rule["verbs"]}
    assert verbs == {"get", "list", "patch"}


def test_pods_with_a_workload_identity_say_so(
    declare: Callable[[CompiledPlan], Declared],
) -> None:
    identity = {
        "annotations": {"azure.workload.identity/client-id": "id"},
        "podLabels": {"azure.workload.identity/use": "true"},
    }
    declared = declare(replace(PLAN, provider=provider(workloadIdentity=identity)))
    account = declared.objects["ServiceAccount", "modelops"]
    assert account["metadata"]["annotations"].items() >= identity["annotations"].items()
    labelled = {
        name
        for name, template in declared.pods()
        if template["metadata"]["labels"].get("azure.workload.identity/use") == "true"
    }
    assert labelled == {"dask-workers", "run-first"}
