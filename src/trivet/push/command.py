# SPDX-License-Identifier: GPL-3.0-or-later
"""The forced command of a key: fetches from and pushes to the projects of its owner, and nothing else.

OpenSSH starts it for every connection of the account ``git``, whatever the client asked for (sshd(8), *command=*), as
that account and without a right to read anything that Trivet keeps secret. Standard library alone, since it starts for
every fetch.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping

from trivet.errors import InputError
from trivet.push.settings import Project, Settings, read_settings

GIT = "/usr/bin/git"
PATH = "/usr/local/bin:/usr/bin:/bin"
_ASKED = re.compile(
    r"git[- ](?P<verb>receive-pack|upload-pack) (?P<quote>'?)/?(?P<project>[a-z][a-z0-9-]{0,38})(?:\.git)?/?(?P=quote)"
)
_PROTOCOL = re.compile(r"version=[0-9](?::version=[0-9])*")


def asked(command: str) -> tuple[str, str]:
    """The verb of Git and the project that a client asks for; nothing else has a form that fits.

    :param command: what it sent.
    :raises InputError: it is no push and no fetch.
    """
    found = _ASKED.fullmatch(command)
    if found is None:
        raise InputError("this account takes `git push` and `git fetch` alone")
    return found["verb"], found["project"]


def allowed(settings: Settings, name: str, project: str) -> Project:
    """The project, when that person may use it. A project of others is as unknown as one that is not there.

    :raises InputError: naming those that they may use.
    """
    mine = [item.name for item in settings.projects.values() if name in item.pushers]
    if project not in mine:
        raise InputError(f"{name} has no project {project}; there is {', '.join(mine) or 'none'}")
    return settings.projects[project]


def environment_of(given: Mapping[str, str], name: str) -> dict[str, str]:
    """What Git runs with: nothing of the client's but the version of its protocol.

    :param given: the environment of the connection.
    """
    made = {"PATH": PATH, "HOME": given.get("HOME", "/"), "LANG": "C.UTF-8", "TRIVET_PUSHER": name}
    if _PROTOCOL.fullmatch(given.get("GIT_PROTOCOL", "")):
        made["GIT_PROTOCOL"] = given["GIT_PROTOCOL"]
    return made


def main() -> None:
    """Become Git, or say why not."""
    name = sys.argv[1]
    try:
        verb, project = asked(os.environ.get("SSH_ORIGINAL_COMMAND", ""))
        repository = allowed(read_settings(), name, project).repository
    except InputError as error:
        print(f"E: {error.message}", file=sys.stderr)
        sys.exit(1)
    os.execve(GIT, ["git", verb, str(repository)], environment_of(os.environ, name))


if __name__ == "__main__":
    main()
