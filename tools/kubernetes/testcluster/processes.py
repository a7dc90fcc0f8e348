"""The cluster's processes: started in its namespace, recorded, asked for their health, ended."""

import contextlib
import json
import os
import ssl
import subprocess
import urllib.error
import urllib.request

import psutil
import stamina

from testcluster import cgroups, network
from testcluster.errors import ClusterError
from testcluster.layout import Layout
from testcluster.parts import Part

_ENVIRONMENT = ("PATH", "LANG", "GOMAXPROCS")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class _NotYetError(Exception):
    """A part isn't ready."""


def start(layout: Layout, part: Part) -> None:
    """Start a part; it doesn't end with who started it."""
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    environment["PATH"] = f"{environment.get('PATH', '')}:{_PATH}".lstrip(":")
    environment |= {"HOME": str(layout.folder), "OTEL_TRACES_EXPORTER": "none"}
    with layout.log(part.name).open("ab") as log:
        process = subprocess.Popen(
            [*network.enter(layout.namespace), *part.command],
            cwd=layout.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    created = psutil.Process(process.pid).create_time()
    record = layout.folder / "processes" / f"{part.name}.json"
    record.write_text(json.dumps({"pid": process.pid, "created": created}))


def recorded(layout: Layout, part: str) -> psutil.Process | None:
    """Return the process of a part; none if it doesn't run."""
    try:
        record = json.loads((layout.folder / "processes" / f"{part}.json").read_text())
        process = psutil.Process(record["pid"])
        # Pids come again: a process is known by the time of its start, too.
        same = abs(process.create_time() - record["created"]) < 0.1
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None


def wait_until_ready(layout: Layout, part: Part, timeout: float = 60) -> None:
    """Wait until a part is ready.

    Raises:
        ClusterError: if it ends, or takes longer than `timeout` seconds.
    """
    try:
        for attempt in stamina.retry_context(
            on=_NotYetError,
            attempts=None,
            timeout=timeout,
            wait_initial=0.02,
            wait_max=0.1,
            wait_jitter=0,
        ):
            with attempt:
                if recorded(layout, part.name) is None:
                    raise ClusterError(f"{part.name} ended.\n{end_of_log(layout, part.name)}")
                if not _is_ready(layout, part):
                    raise _NotYetError  # noqa: TRY301
    except _NotYetError:
        raise ClusterError(
            f"{part.name} isn't ready after {timeout:.0f} s.\n{end_of_log(layout, part.name)}"
        ) from None


def end_of_log(layout: Layout, part: str, lines: int = 15) -> str:
    """Return the last lines of a part's log, and where all of it is."""
    path = layout.log(part)
    with contextlib.suppress(OSError):
        text = path.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join([f"The end of {path}:", *text])
    return f"It wrote no log {path}."


def end(processes: list[psutil.Process]) -> None:
    """End processes at once, each by its own id, and wait until they have ended."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


def all_of(layout: Layout) -> list[psutil.Process]:
    """Return the cluster's processes, also when their records are gone.

    Those are the recorded ones, what uses the cluster's network namespace or containerd's socket,
    and what runs in its pods.
    """
    known = {path.stem for path in (layout.folder / "processes").glob("*.json")}
    by_record = (recorded(layout, part) for part in known)
    pids = {process.pid for process in by_record if process is not None}
    pids |= cgroups.processes(layout)
    namespace = layout.namespace.stat().st_ino if layout.namespace.exists() else None
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            uses = os.stat(f"/proc/{process.pid}/ns/net").st_ino == namespace  # noqa: PTH116
            if uses or str(layout.socket) in process.cmdline():
                pids.add(process.pid)
    found = []
    for pid in pids - {os.getpid()}:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _is_ready(layout: Layout, part: Part) -> bool:
    if part.appears is not None:
        return part.appears.exists()
    # Certificates are checked by those who use the parts; here an answer is enough. The API server
    # answers 401 to strangers only once it can check who somebody is.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            network.inside(layout.namespace),
            urllib.request.urlopen(part.health, timeout=5, context=context) as answer,  # noqa: S310
        ):
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
