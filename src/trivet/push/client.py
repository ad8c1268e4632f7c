# SPDX-License-Identifier: GPL-3.0-or-later
"""Who pushes, at the other end of the connection: gets the lines of the log, or has gone away."""

from __future__ import annotations

import os
import select
from pathlib import Path

PATIENCE_SECONDS = 60.0
SERVER = "sshd"


class Client:
    """Writes to the client of a push, by the descriptor that Git's hook was given.

    Git does not tell a hook that the client is gone: it goes on without reading what the hook writes. So this looks
    whether the connection's sshd is still among the processes that this one comes from.

    :param descriptor: takes the lines.
    """

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor
        self._connected = _comes_from_server()

    def write(self, line: str) -> None:
        """Send a line.

        :raises OSError: the client is gone, or reads nothing any more.
        """
        if self._connected and not _comes_from_server():
            raise ConnectionError("the connection has ended")
        left = f"{line}\n".encode()
        ready = select.poll()
        ready.register(self._descriptor, select.POLLOUT)
        while left:
            if not ready.poll(PATIENCE_SECONDS * 1000):
                raise TimeoutError("nobody reads")
            # A pipe that can be written to takes so much without blocking (pipe(7)).
            left = left[os.write(self._descriptor, left[: select.PIPE_BUF]) :]


def _comes_from_server() -> bool:
    """Whether an sshd is among the ancestors of this process; what an ended one started belongs to process 1."""
    process = os.getppid()
    while process > 1:
        try:
            text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        # proc_pid_stat(5): pid (name) state parent …; the name may have blanks.
        head, _, tail = text.rpartition(")")
        if head.partition("(")[2].startswith(SERVER):
            return True
        process = int(tail.split()[1])
    return False
