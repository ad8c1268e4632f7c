# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenSSH connections to the nodes of an environment, each kept open for the life of the object."""

from __future__ import annotations

import json
import shlex
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from trivet.errors import RemoteError
from trivet.model.environment import Environment, Node
from trivet.remote.result import RemoteResult
from trivet.remote.session import AgentSession, KeptSession

CONNECT_SECONDS = 5

Answer = TypeVar("Answer")


class Nodes:
    """A context that holds one multiplexed SSH connection per node and closes them at its end."""

    def __init__(self, environment: Environment, _shared: Nodes | None = None) -> None:
        self.environment = environment
        self._own = _shared is None
        # Short on purpose: a control path has at most about 100 characters.
        self._folder: tempfile.TemporaryDirectory[str] = (
            _shared._folder if _shared else tempfile.TemporaryDirectory(prefix="trivet-ssh-", dir="/tmp")
        )
        workers = max(8, len(environment.machines) * 2)
        self._pool: ThreadPoolExecutor = _shared._pool if _shared else ThreadPoolExecutor(max_workers=workers)
        self._sessions: dict[str, KeptSession] = _shared._sessions if _shared else {}

    def of(self, environment: Environment) -> Nodes:
        """The nodes of the environment as the inventory has it by now, over these connections; they end with these."""
        return Nodes(environment, self)

    def __enter__(self) -> Nodes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._own:
            return
        self._pool.shutdown(wait=False, cancel_futures=True)
        for socket in Path(self._folder.name).iterdir():
            _end(socket)
        self._folder.cleanup()

    def hang_up(self, node: Node) -> None:
        """End the connection to a node whose machine has stopped: the next question opens a new one.

        By itself it outlives the machine for some seconds, and a question in the moment in which it notices, though the
        machine is back by then, is not answered.
        """
        _end(self._socket(node))

    def run(self, node: Node, command: Sequence[str], timeout: float = 30.0) -> RemoteResult:
        """Run a command on one node; never raises for its exit code.

        :param timeout: seconds; when it runs out, the node counts as not reached.
        """
        words = [*self._connection(node), shlex.join(command)]
        try:
            # A session of its own: the operator's Ctrl-C must reach this program and not cut a step off half-way.
            completed = subprocess.run(
                words,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            return RemoteResult.unreached(node.name, f"no answer within {timeout:.0f} s")
        return RemoteResult(node.name, completed.returncode, completed.stdout, completed.stderr.strip())

    def send(self, node: Node, command: Sequence[str], source: Path | str, timeout: float = 60.0) -> RemoteResult:
        """Run a command on one node that reads a file of this machine, or a text, from standard input.

        :param timeout: seconds; when it runs out, the node counts as not reached.
        """
        words = [*self._connection(node), shlex.join(command)]
        with tempfile.TemporaryFile() if isinstance(source, str) else source.open("rb") as stream:
            if isinstance(source, str):
                stream.write(source.encode())
                stream.seek(0)
            try:
                completed = subprocess.run(
                    words,
                    capture_output=True,
                    text=True,
                    timeout=timeout,
                    check=False,
                    stdin=stream,
                    start_new_session=True,
                )
            except subprocess.TimeoutExpired:
                return RemoteResult.unreached(node.name, f"no answer within {timeout:.0f} s")
        return RemoteResult(node.name, completed.returncode, completed.stdout, completed.stderr.strip())

    def follow(
        self, node: Node, command: Sequence[str], line: Callable[[str], None], timeout: float = 3600.0
    ) -> RemoteResult:
        """Run a command on one node, and give each line of its standard error on as it comes.

        :param line: takes a line.
        :param timeout: seconds; when it runs out, the node counts as not reached.
        """
        words = [*self._connection(node), shlex.join(command)]
        with (
            tempfile.TemporaryFile("w+") as output,
            subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            ) as process,
        ):
            timer = threading.Timer(timeout, process.kill)
            timer.start()
            try:
                assert process.stderr is not None
                for text in process.stderr:
                    line(text.rstrip("\n"))
                code = process.wait()
            finally:
                timer.cancel()
            output.seek(0)
            if code < 0:
                return RemoteResult.unreached(node.name, f"no answer within {timeout:.0f} s")
            return RemoteResult(node.name, code, output.read(), "")

    def run_on(self, nodes: Iterable[Node], command: Sequence[str], timeout: float = 30.0) -> list[RemoteResult]:
        """Run the same command on several nodes at once."""
        return self.at_once(lambda node: self.run(node, command, timeout), nodes)

    def at_once(self, question: Callable[[Node], Answer], nodes: Iterable[Node]) -> list[Answer]:
        """Ask several nodes at the same time; answers in their order."""
        return list(self._pool.map(question, list(nodes)))

    def agent(self, node: Node, *arguments: str, timeout: float = 30.0) -> dict[str, Any]:
        """The JSON answer of ``trivet-agent`` on a node.

        :raises RemoteError: when the node is not reached or the agent says that it failed.
        """
        return self.answer(self.asked(node, arguments, timeout), arguments)

    def agents(self, nodes: Iterable[Node], *arguments: str, timeout: float = 30.0) -> dict[str, dict[str, Any]]:
        """The JSON answers of ``trivet-agent`` on several nodes at once, by node name.

        :raises RemoteError: when one of them fails.
        """
        results = self.at_once(lambda node: self.asked(node, arguments, timeout), nodes)
        return {result.node: self.answer(result, arguments) for result in results}

    @contextmanager
    def sessions(self, nodes: Iterable[Node], *commands: str, apart: float = 0.0) -> Iterator[None]:
        """While it lasts, the agents of these nodes answer at once: none is started for a question.

        A node whose agent opens no session is asked as ever; one that was lost is opened anew. Within another such
        context, that one's sessions are used, and go on.

        :param commands: what will be asked, such as ``proxy``.
        :param apart: seconds between the begin of one and of the next: each is some tenths of a second of a core.
        """
        command = shlex.join(["trivet-agent", "session", *commands])
        asked = list(nodes)
        added = [node for node in asked if node.name not in self._sessions]
        for node in added:
            opened = partial(AgentSession, node.name, [*self._connection(node), command])
            self._sessions[node.name] = KeptSession(opened)
        places = {node.name: number for number, node in enumerate(asked)}

        def open_one(node: Node) -> None:
            time.sleep(apart * places[node.name])
            self._sessions[node.name].open()

        self.at_once(open_one, asked)
        try:
            yield
        finally:
            for node in added:
                self._sessions.pop(node.name).want(False)

    def want_session(self, node: Node, wanted: bool) -> None:
        """Have no session with a node while its agent or its machine may be exchanged. Nothing where none is kept."""
        if node.name in self._sessions:
            self._sessions[node.name].want(wanted)

    def asked(self, node: Node, arguments: Sequence[str], timeout: float = 30.0) -> RemoteResult:
        """What ``trivet-agent`` on a node says to a command, by a session where there is one; never raises for it.

        :param timeout: seconds; when it runs out, the node counts as not reached.
        """
        session = self._sessions.get(node.name)
        answer = session.ask(arguments, timeout) if session else None
        return answer or self.run(node, ["trivet-agent", *arguments], timeout)

    @staticmethod
    def answer(result: RemoteResult, arguments: Sequence[str]) -> dict[str, Any]:
        """What ``trivet-agent`` said.

        :raises RemoteError: when the node was not reached or the agent says that it failed.
        """
        if not result.reached:
            raise RemoteError(f"{result.node} was not reached: {result.error}")
        command = f"{result.node}: trivet-agent {' '.join(arguments)}"
        try:
            said = json.loads(result.output)
        except ValueError:
            said = None
        answer = said if isinstance(said, dict) else {}
        if result.code != 0:
            raise RemoteError(f"{command}: {answer.get('error') or result.error or result.output.strip()}")
        if not isinstance(said, dict):
            raise RemoteError(f"{command}: the answer is no JSON object: {result.output.strip()[:200]!r}")
        return answer

    def _connection(self, node: Node) -> list[str]:
        multiplexed = [
            "-o",
            "ControlMaster=auto",
            "-o",
            "ControlPersist=300",
            "-o",
            f"ControlPath={self._socket(node)}",
        ]
        return [*ssh_command(node), *multiplexed, node.login]

    def _socket(self, node: Node) -> Path:
        # A web node's id is given anew when the node is gone: by its address it is not taken for another machine.
        return Path(self._folder.name, f"{node.node_id}-{node.address}")


def _end(socket: Path) -> None:
    """End the connection that is kept under this control path; nothing where there is none."""
    words = ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "none"]
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(words, capture_output=True, timeout=10, check=False)


def ssh_command(node: Node) -> list[str]:
    """The OpenSSH command for a node, without its login: options that the inventory asks for, and bounded waiting."""
    variables = node.variables
    command = [
        "ssh", "-T",
        "-o", "BatchMode=yes",
        "-o", f"ConnectTimeout={CONNECT_SECONDS}",
        "-o", "ServerAliveInterval=3", "-o", "ServerAliveCountMax=3",
        "-o", "LogLevel=ERROR",
    ]  # fmt: skip
    if variables.get("ansible_ssh_private_key_file"):
        command += ["-i", str(variables["ansible_ssh_private_key_file"])]
    if variables.get("ansible_port"):
        command += ["-p", str(variables["ansible_port"])]
    return command + shlex.split(str(variables.get("ansible_ssh_common_args", "")))


def terminal_command(node: Node, words: Sequence[str], *, terminal: bool) -> list[str]:
    """The OpenSSH command that runs something on a node for a person: its input and output are that one's own.

    :param words: the command; none for the login shell.
    :param terminal: whether it gets a terminal there.
    """
    command = [shlex.join(words)] if words else []
    return [*ssh_command(node), *(["-t"] if terminal else []), node.login, *command]
