"""The program that children are copied from: all that a child needs is imported in it once.

Started by `fork_server_process`:

    python -P -m modelops.worker.fork_server --channel FD

A fork takes milliseconds, and a start of Python with pyarrow a quarter of a second. It never runs a
model's code itself and has one thread only. A message on the channel, a socket that keeps messages
apart, is JSON: `{"start": true}` comes with the descriptors that a child gets, and is answered by
`{"pid": …}` with a descriptor of the process; `{"reap": pid}`, asked for once the process was
killed or has ended, is answered by `{"status": …}`, null if it isn't its own. Until it's asked for
nothing is reaped, so that the number of a process stays its own. It ends when the channel is
closed.
"""

import argparse
import json
import os
import socket
import sys
from collections.abc import Sequence

import numpy as np

from modelops.worker.child import prepare, serve

MESSAGE_BYTES = 1_024
"""The longest message."""
GIVEN = 4
"""How many descriptors a child gets: its channel, lifeline, log and progress."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Make children until the channel is closed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--channel", type=int, required=True)
    options = parser.parse_args(arguments)
    del sys.argv[1:]
    prepare()
    os.set_inheritable(options.channel, False)
    with socket.socket(fileno=options.channel) as channel:
        while True:
            data, given, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, GIVEN)
            if not data:
                return
            request = json.loads(data)
            if "reap" in request:
                channel.send(json.dumps({"status": _reaped(request["reap"])}).encode())
                continue
            pid = os.fork()
            if pid == 0:
                _be_a_child(channel, given)
            for descriptor in given:
                os.close(descriptor)
            process = os.pidfd_open(pid)
            socket.send_fds(channel, [json.dumps({"pid": pid}).encode()], [process])
            os.close(process)


def _be_a_child(server: socket.socket, given: Sequence[int]) -> None:
    """Be the child that the descriptors were made for; never return."""
    status = 1
    try:
        server.close()
        os.setsid()
        channel, lifeline, log, progress = given
        for stream in (1, 2):
            os.dup2(log, stream)
        # Copies of one state would draw the same numbers. Python sees to its own generator.
        np.random.seed()
        serve(channel, lifeline, log, progress)
        status = 0
    finally:
        os._exit(status)


def _reaped(pid: int) -> int | None:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        # It's one of a server that was killed.
        return None


if __name__ == "__main__":
    main()
