"""A run: the runner as a Job that ends by itself."""

import json

import pulumi
import pulumi_kubernetes as kubernetes

from modelops.contracts import BindingOutputs
from modelops.providers.base import ResourcePlan
from modelops.providers.declaring import Bindings, as_the_run_knows_them, needed
from modelops.providers.kubernetes import commands, names, pods
from modelops.providers.kubernetes.attempts import ATTEMPT, next_attempt
from modelops.providers.kubernetes.components.cluster import BEFORE_ITS_PARTS, SKIP_AWAIT, Cluster
from modelops.providers.needs import CERTIFICATE_BINDING

# How often a runner that was killed, or lost its node, is started again.
_RETRIES = 20
_FAILED = (1, 2)
"""Exit codes of a runner that has told what is wrong: starting it again would change nothing."""


class Run(pulumi.ComponentResource):
    """One run's Job; it hands on the bindings that the run has got."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan, known: Bindings, cluster: Cluster) -> None:
        super().__init__(plan.type, plan.name)
        properties = plan.properties
        part = pods.Part(
            properties["env"],
            "modelops-run",
            names.RUNNER_ROLE,
            {names.RUN_LABEL: properties["run"]["run_id"]},
        )
        config = cluster.make(
            kubernetes.core.v1.ConfigMap,
            part,
            plan.name,
            below=self,
            data={names.RUN_KEY: json.dumps(properties["run"], sort_keys=True)},
        )
        attempt = {ATTEMPT: str(next_attempt(properties, plan.name))}
        own = needed(plan, known).apply(as_the_run_knows_them)
        job = cluster.make(
            kubernetes.batch.v1.Job,
            part,
            plan.name,
            below=self,
            after=(config,),
            # It takes as long as the run, and the stack's lock would be held for that long.
            annotations={**SKIP_AWAIT, **BEFORE_ITS_PARTS},
            spec={
                "backoffLimit": _RETRIES,
                "podFailurePolicy": {
                    "rules": [
                        {
                            "action": "Ignore",
                            "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                        },
                        {
                            "action": "FailJob",
                            "onExitCodes": {"operator": "In", "values": list(_FAILED)},
                        },
                    ]
                },
                "template": own.apply(lambda bindings: _template(plan, part, bindings, attempt)),
            },
        )
        self.bindings = pulumi.Output.all(own, job.urn).apply(lambda of: of[0])
        self.register_outputs({})


def _template(
    plan: ResourcePlan, part: pods.Part, bindings: BindingOutputs, attempt: dict[str, str]
) -> pods.Manifest:
    properties = plan.properties
    variables = set(properties["secret_variables"])
    # A Job's template never changes, and a runner reads the certificate as it is now.
    env = {key: value for key, value in bindings.env.items() if key != CERTIFICATE_BINDING}
    told = BindingOutputs(env=env, secrets=bindings.secrets)
    container = pods.container(
        "runner",
        properties,
        properties["command"],
        env={**pods.binding_env(told, variables), **commands.RUNNER},
        env_from=pods.secret_variables(properties["secret_variables"]),
        mounts={
            names.DASK_MOUNT: "dask-tls:ro",
            names.RUN_MOUNT: "run:ro",
            **pods.simulating_mounts(properties),
            **pods.binding_mounts(told, variables),
        },
        ports=[pods.metrics_port()],
        **pods.probes(ready=False),
    )
    spec = pods.pod_spec(
        properties,
        [container],
        [
            pods.dask_volume(),
            pods.config_volume("run", plan.name),
            *pods.simulating_volumes(properties),
            *pods.binding_volumes(told, variables),
        ],
        restartPolicy="Never",
        **pods.ADOPTS_ORPHANS,
    )
    labelled = pods.Part(part.env, part.name, part.role, {**properties["identity"], **part.more})
    # It would begin anew elsewhere, and go on from its journal: not for the sake of fewer nodes.
    unmoved = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
    return pods.template(labelled, spec, {**unmoved, **attempt})
