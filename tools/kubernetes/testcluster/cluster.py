"""A single-node Kubernetes in a network namespace of its own, for end-to-end tests."""

import os
import subprocess
import sys
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Self

from testcluster import cgroups, images, network, parts, processes, teardown
from testcluster.access import Access
from testcluster.errors import ClusterError
from testcluster.layout import Layout
from testcluster.locking import locked
from testcluster.programs import Programs, built_programs, require_all

_MANIFESTS = Path(__file__).parent / "manifests"
_READY_TIMEOUT = "60s"


class Cluster(Access):
    """A cluster by its name; several can run at once.

    As a context manager it starts a new one, and removes it at the end or when this process was
    killed. `run` and `inside` reach what is in its network namespace: the API server, the registry,
    the pods and services.

    Args:
        name: of the cluster, its node, its network namespace, its cgroup and its folder.
    """

    def __init__(self, name: str) -> None:
        self.layout = Layout(name)
        self._keeper: subprocess.Popen[bytes] | None = None
        super().__init__(
            name,
            self.layout.kubeconfig,
            self.layout.registry,
            registry_trust=self.layout.registry_trust,
            namespace=self.layout.namespace,
        )

    def __enter__(self) -> Self:
        """Start a new cluster, which doesn't outlive this process either."""
        self._keeper = subprocess.Popen(
            [sys.executable, "-m", "testcluster", "keep", self.name],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            self.start()
        except BaseException:
            self._dismiss_keeper()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the cluster."""
        try:
            self.stop()
        finally:
            self._dismiss_keeper()

    def start(self) -> None:
        """Start a new cluster, and return when it is ready; what has its name is removed first.

        Raises:
            ClusterError: if this machine lacks something, or a part doesn't start; all that was
                started is removed then.
        """
        programs = require_all()
        with locked(self.name):
            teardown.remove(self.layout)
            try:
                self.layout.folder.mkdir(parents=True, mode=0o700)
                parts.write_configuration(self.layout)
                network.create(self.layout)
                cgroups.create(self.layout)
                foundation = parts.foundation(self.layout, programs)
                workers = parts.workers(self.layout, programs)
                self._launch(foundation)
                # Meanwhile the API server starts, which takes longest.
                self._load_own_images(programs)
                self._wait(foundation)
                self._launch(workers)
                self._apply_manifests()
                self._wait(workers)
                self._wait_for_pods()
                self.layout.ready.touch()
            except BaseException:
                teardown.remove(self.layout)
                raise

    def stop(self) -> None:
        """Remove the cluster with all that is in it.

        Raises:
            ClusterError: if something of it can't be removed.
        """
        with locked(self.name):
            teardown.remove(self.layout)

    def is_ready(self) -> bool:
        """Whether the cluster was started, and its API server answers."""
        if not self.layout.ready.exists():
            return False
        return self.run(["kubectl", "get", "--raw", "/readyz"], check=False).returncode == 0

    def load_image(self, archive: Path) -> None:
        """Give containerd an image, from an OCI or a Docker archive that names it."""
        command = ["ctr", f"--address={self.layout.socket}", "--namespace=k8s.io"]
        self.run([*command, "images", "import", archive], timeout=300)

    def restart(self, name: str) -> None:
        """End a part at once, as if it was killed, start it again and wait until it is ready.

        Args:
            name: of the part: etcd, containerd, registry, kubelet, kube-proxy, kube-router,
                kube-apiserver, kube-controller-manager or kube-scheduler.
        """
        known = parts.all_parts(self.layout, built_programs())
        if name not in known:
            raise ClusterError(f"There is no part {name!r}; there are {', '.join(known)}.")
        running = processes.recorded(self.layout, name)
        if running is not None:
            processes.end([running])
        part = known[name]
        if part.appears is not None:
            part.appears.unlink(missing_ok=True)
        processes.start(self.layout, part)
        processes.wait_until_ready(self.layout, part)

    def busybox_archive(self) -> Path:
        """Return an OCI archive of the image of simple test pods."""
        return self.layout.folder / "images" / "busybox.tar"

    def _dismiss_keeper(self) -> None:
        if self._keeper is not None:
            self._keeper.communicate()
            self._keeper = None

    def _launch(self, launched: list[parts.Part]) -> None:
        for part in launched:
            processes.start(self.layout, part)

    def _wait(self, launched: list[parts.Part]) -> None:
        for part in launched:
            processes.wait_until_ready(self.layout, part)

    def _load_own_images(self, programs: Programs) -> None:
        folder = self.layout.folder / "images"
        folder.mkdir()
        known = parts.all_parts(self.layout, programs)
        self._wait([known["containerd"]])
        coredns = images.Image(images.COREDNS_IMAGE, {"bin/coredns": programs.coredns}, [])
        local_path = images.Image(
            images.LOCAL_PATH_IMAGE, {"bin/local-path-provisioner": programs.local_path}, []
        )
        self.load_image(images.write_archive(images.busybox_image(), self.busybox_archive()))
        self.load_image(images.write_archive(coredns, folder / "coredns.tar"))
        self.load_image(images.write_archive(local_path, folder / "local-path.tar"))

    def _apply_manifests(self) -> None:
        texts = [file.read_text() for file in sorted(_MANIFESTS.glob("*.yaml"))]
        volumes = self.layout.folder / "volumes"
        self.kubectl(
            "apply", "-f-", input=Template("\n---\n".join(texts)).substitute(volumes=volumes)
        )

    def _wait_for_pods(self) -> None:
        """Wait until the node, and the parts that run as pods, are ready."""
        for wanted in (
            ("node", "--all", "--for=create"),
            ("node", "--all", "--for=condition=Ready"),
            ("deployment", "--all", "--all-namespaces", "--for=condition=Available"),
        ):
            self.kubectl("wait", f"--timeout={_READY_TIMEOUT}", *wanted)
