"""What end-to-end tests do with a cluster, whether it is theirs or was there before."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from testcluster import network
from testcluster.errors import ClusterError
from testcluster.programs import built_programs


class Access:
    """The way to a cluster: its API server, registry, pods and services.

    Args:
        name: what the cluster is called in messages.
        kubeconfig: of a user who may do everything.
        registry: host and port of a registry that its nodes pull from.
        registry_trust: folder with the registry's CA in a file `*.crt`; none if all trust it.
        namespace: file of the network namespace that the cluster is in; none if it is reached from
            anywhere.
    """

    def __init__(
        self,
        name: str,
        kubeconfig: Path,
        registry: str,
        registry_trust: Path | None = None,
        namespace: Path | None = None,
    ) -> None:
        self.name = name
        self.kubeconfig = kubeconfig
        self.registry = registry
        self._trust = registry_trust
        self._namespace = namespace

    def run(
        self,
        command: Sequence[str | Path],
        *,
        input: str | None = None,  # noqa: A002
        check: bool = True,
        timeout: float | None = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the cluster's network; KUBECONFIG and PATH lead to it and to kubectl.

        Raises:
            ClusterError: if `check` and the command fails, with its output.
            subprocess.TimeoutExpired: if it takes longer than `timeout` seconds.
        """
        done = subprocess.run(
            [*self._enter(), *command],
            env=self.environment(),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        if check and done.returncode != 0:
            shown = " ".join(map(str, command))
            raise ClusterError(f"`{shown}` exited {done.returncode}.\n{done.stdout}{done.stderr}")
        return done

    def start_command(self, command: Sequence[str | Path]) -> subprocess.Popen[str]:
        """Start a command as `run` does, with pipes for its output, for the caller to end."""
        return subprocess.Popen(
            [*self._enter(), *command],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def environment(self) -> dict[str, str]:
        """Return this process's environment, with KUBECONFIG and kubectl on PATH."""
        kubectl = built_programs().kubernetes
        path = f"{kubectl}:{os.environ.get('PATH', '')}"
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "PATH": path}

    def kubectl(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002
        """Run kubectl and return its output.

        Raises:
            ClusterError: if it fails, with its output.
        """
        return self.run(["kubectl", *arguments], input=input).stdout

    def inside(self) -> contextlib.AbstractContextManager[None]:
        """Have this thread use the cluster's network meanwhile, and what it starts."""
        if self._namespace is None:
            return contextlib.nullcontext()
        return network.inside(self._namespace)

    @property
    def registry_ca(self) -> Path | None:
        """The CA of the registry's certificate; none if every machine trusts it."""
        return None if self._trust is None else next(self._trust.glob("*.crt"))

    def push_image(self, archive: Path, repository: str) -> str:
        """Push an image of an OCI archive or layout to the registry; return it by digest."""
        with tempfile.NamedTemporaryFile() as digest:
            source = f"{'oci' if archive.is_dir() else 'oci-archive'}:{archive}"
            target = f"docker://{self.registry}/{repository}"
            trusted = [] if self._trust is None else [f"--dest-cert-dir={self._trust}"]
            self.run(
                [
                    *("skopeo", "copy", "--insecure-policy", f"--digestfile={digest.name}"),
                    *(*trusted, source, target),
                ],
                timeout=300,
            )
            return f"{self.registry}/{repository}@{Path(digest.name).read_text().strip()}"

    def _enter(self) -> list[str]:
        return [] if self._namespace is None else network.enter(self._namespace)
