# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection's own actions run on a node: a command, or a Python program, without a module.

A module unpacks, compiles and imports half of Ansible on the node first: 0.3 to 0.6 s of its processor before it does
anything (docs/performance.md). These need a shell, or Python's standard library, and cost some hundredths.
"""

from __future__ import annotations

import inspect
import json
import shlex
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

# Reads the program and its arguments from its input, where nobody else on the node can see secrets.
STARTER = (
    "import json, sys; source, arguments = json.load(sys.stdin); exec(compile(source, 'program', 'exec'), globals())"
)


class ActionOnNode(ActionBase):
    """An action that needs nothing on the node but its shell, and for a program its Python."""

    TRANSFERS_FILES = False

    def run_words(self, words: Sequence[str], stdin: str = "") -> dict[str, Any]:
        """Run a command; no shell reads its words. See ``run_script`` for the answer."""
        return self.run_script(shlex.join(words), stdin)

    def run_script(self, script: str, stdin: str = "") -> dict[str, Any]:
        """Run a shell script as the play's user, by its connection and with its privileges.

        :param stdin: what the script's commands read; nothing by default.
        :returns: rc, stdout, stdout_lines, stderr and stderr_lines. An exit code of 255 is told as 254: it is ssh's own
            word for a node that cannot be reached.
        """
        # A command with input gets no terminal, which would mix its output with its errors; so there always is one.
        given = stdin or "\n"
        whole = f"(\n{script}\n){'' if stdin else ' </dev/null'}"
        text = f"{whole}; code=$?; [ $code -ne 255 ] || code=254; exit $code"
        # In one word, because Ansible appends to it.
        answer = self._low_level_execute_command(shlex.join(["/bin/sh", "-c", text]), in_data=given.encode())
        return {key: answer.get(key) for key in ("rc", "stdout", "stdout_lines", "stderr", "stderr_lines")}

    def run_program(self, program: ModuleType, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Run a program's ``main(arguments)`` on the node's Python; it prints its result as one line of JSON.

        :param program: a module of this collection that imports the standard library alone.
        :raises AnsibleActionFail: when it gave no result, with what it said.
        """
        given = json.dumps([f"{inspect.getsource(program)}\nmain(arguments)\n", arguments])
        answer = self.run_script(shlex.join(["python3", "-I", "-S", "-c", STARTER]), given)
        lines = answer["stdout_lines"]
        try:
            result: dict[str, Any] = json.loads(lines[-1])
        except (IndexError, ValueError):
            said = answer["stderr"].strip() or answer["stdout"].strip() or "nothing"
            raise AnsibleActionFail(f"no result from the node, exit code {answer['rc']}; it said: {said}") from None
        return result
