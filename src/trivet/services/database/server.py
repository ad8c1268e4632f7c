# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to this node's mariadbd, as root by its socket."""

from __future__ import annotations

import re

from trivet.health.config import MARIADB_SOCKET
from trivet.health.external import Deadline, NoAnswer, NotRunning, run

_NO_SERVER = re.compile(r"ERROR 2002 \(HY000\).*\((2|111)\)")
"""The client's words for a socket that is not there (2) or that nobody listens on (111)."""


def ask(statements: str, deadline: Deadline, *, go_on: bool = False) -> str:
    """Run statements and return their rows, one a line, with tabs between the values as they are.

    Args:
        go_on: run the others also after one was refused, which is no error then.

    Raises:
        NotRunning: no server listens on the socket.
        NoAnswer: the server did not answer in time, or refused a statement.
    """
    output = run(
        [
            "mariadb",
            # Not the node's own option files: a [client] section there may point at the proxy.
            "--defaults-file=/dev/null",
            "--user=root",
            f"--socket={MARIADB_SOCKET}",
            "--connect-timeout=2",
            "--batch",
            "--raw",
            "--skip-column-names",
            *(["--force"] if go_on else []),
            f"--execute={statements}",
        ],
        deadline,
    )
    refused_statement = " at line " in output.complaint
    if output.code != 0 and not (go_on and refused_statement):
        kind = NotRunning if _NO_SERVER.search(output.complaint) else NoAnswer
        raise kind(f"mariadb: {output.complaint}")
    return output.stdout
