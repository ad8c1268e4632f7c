# SPDX-License-Identifier: GPL-3.0-or-later
"""Inside of the application that serves: its shell, database, mounts, crons and logs, by a node of the environment."""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from trivet.errors import InputError, RemoteError
from trivet.model import Environment, Node
from trivet.remote import Nodes, terminal_command

AGENT = "trivet-agent"
BLOCK_BYTES = 1024 * 1024
HOME = "/app"
CRON_SECONDS = 86400.0
"""At most: the cron's own limit is shorter."""

Tell = Callable[[str, str], None]
"""Takes a line: the node that it comes from, and its words."""


@dataclass(frozen=True, slots=True)
class Inside:
    """The application that serves, as one node has it.

    :param node: the node that is asked.
    :param mounts: by their path below the application's root, whether all nodes share them.
    :param relationships: endpoints by the relationship's name, without passwords.
    """

    environment: Environment
    node: Node
    instance: str
    mounts: dict[str, bool]
    relationships: dict[str, dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "node": self.node.name,
            "instance": self.instance,
            "mounts": [{"path": path, "shared": shared} for path, shared in self.mounts.items()],
            "relationships": self.relationships,
        }

    def shell(self, words: Sequence[str], *, terminal: bool) -> list[str]:
        """The command of this machine that becomes a shell of the application, or a command in it."""
        return terminal_command(self.node, [AGENT, "application", "shell", "--", *words], terminal=terminal)

    def client(self, relationship: str, words: Sequence[str] = (), *, terminal: bool) -> list[str]:
        """The command of this machine that becomes a client of a database.

        :raises InputError: the application has no such database.
        """
        return self._database("sql", relationship, words, terminal=terminal)

    def dump(self, relationship: str, target: IO[bytes], tell: Callable[[int], None]) -> None:
        """Write a database as SQL, from one snapshot and off the node that takes the writes.

        :param tell: takes how many bytes came so far.
        :raises InputError: the application has no such database.
        :raises RemoteError: it did not come whole.
        """
        twin = f"{relationship}-slave"
        command = self._database("dump", relationship if twin not in self.relationships else twin, (), terminal=False)
        with _output_of(command, f"the dump of {relationship} on {self.node.name}") as stream:
            _copy(stream, target, tell)

    def download(self, mount: str, target: Path, exclude: Sequence[str], tell: Callable[[str], None]) -> int:
        """Bring the files of a mount here; what is here of the same name is replaced. How many came.

        :param target: a folder; made when it is not there.
        :param exclude: patterns of names that stay, as ``tar`` has them.
        :param tell: takes the name of each file.
        :raises InputError: the application has no such mount.
        :raises RemoteError: they did not come whole.
        """
        path = self._mount(mount)
        patterns = [f"--exclude={pattern}" for pattern in exclude]
        # Files that the application changes meanwhile are as whole as a reader of the mount would see them.
        words = ["tar", "--create", *patterns, "--warning=no-file-changed", "--directory", path, "."]
        target.mkdir(parents=True, exist_ok=True)
        with _output_of(self.shell(words, terminal=False), f"{path} of {self.node.name}", ended_well=(0, 1)) as stream:
            return _unpacked(stream, target, tell)

    def upload(self, mount: str, source: Path, tell: Callable[[str], None]) -> int:
        """Bring files into a mount, as the application's account; what is there of the same name is replaced.

        :param source: a folder whose contents go there.
        :param tell: takes the name of each file.
        :raises InputError: the application has no such mount, or the source is no folder.
        :raises RemoteError: they did not arrive.
        """
        path = self._mount(mount)
        if not source.is_dir():
            raise InputError(f"{source} is no folder")
        words = ["tar", "--extract", "--no-same-owner", "--no-overwrite-dir", "--directory", path]
        number = 0

        def told(member: tarfile.TarInfo) -> tarfile.TarInfo:
            nonlocal number
            if member.isfile():
                number += 1
                tell(member.name.removeprefix("./"))
            return member

        command = self.shell(words, terminal=False)
        with _Words() as said:
            with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=said.stream) as process:
                assert process.stdin is not None
                # What the command says is why it does not take more.
                with suppress(BrokenPipeError):
                    with tarfile.open(fileobj=process.stdin, mode="w|", format=tarfile.PAX_FORMAT) as members:
                        members.add(source, arcname=".", filter=told)
                    process.stdin.close()
            said.need(process.returncode, f"{path} of {self.node.name}")
        return number

    def _database(self, client: str, relationship: str, words: Sequence[str], *, terminal: bool) -> list[str]:
        databases = [name for name, item in self.relationships.items() if item["scheme"] == "mysql"]
        if relationship not in databases:
            raise InputError(
                f"{self.environment.name} has no database {relationship}; it has {', '.join(databases) or 'none'}"
            )
        asked = [AGENT, "application", "database", client, relationship, "--", *words]
        return terminal_command(self.node, asked, terminal=terminal)

    def _mount(self, name: str) -> str:
        path = _within(name)
        if path not in self.mounts:
            raise InputError(
                f"{self.environment.name} has no mount {name}; it has {', '.join(self.mounts) or 'none'}",
                f"trivet mount list {self.environment.label}",
            )
        return f"{HOME}/{path}"


def enter(environment: Environment, node: str = "", *, mount: str = "") -> Inside:
    """The application that serves, by a node that answers.

    :param node: a name; empty for the first that answers.
    :param mount: which one it is for: one that each node has for itself needs a node.
    :raises InputError: there is no such node, or none is named where it counts.
    :raises RemoteError: no node answers, or none serves a release.
    """
    with Nodes(environment) as nodes:
        chosen = environment.node(node) if node else first(nodes)
        said = nodes.agent(chosen, "application", "describe")
    mounts = {item["path"].removeprefix(f"{HOME}/"): bool(item["shared"]) for item in said["mounts"]}
    found = Inside(environment, chosen, said["instance"], mounts, said["relationships"])
    if mount and not node and len(environment.machines) > 1 and mounts.get(_within(mount)) is False:
        names = ", ".join(item.name for item in environment.machines)
        raise InputError(f"each node has a mount {mount} of its own: name one by --node ({names})")
    return found


def _within(name: str) -> str:
    """A mount by its path below the application's root: ``app/etc`` is one, and so is ``/app/app/etc``."""
    return name.removeprefix(f"{HOME}/").strip("/")


def login(environment: Environment, node: str, words: Sequence[str], *, terminal: bool) -> list[str]:
    """The command of this machine that logs in to a node itself.

    :param node: a name; empty for the first that answers.
    """
    with Nodes(environment) as nodes:
        chosen = environment.node(node) if node else first(nodes)
    return terminal_command(chosen, words, terminal=terminal)


def first(nodes: Nodes) -> Node:
    """The first service node that answers.

    :raises RemoteError: none does.
    """
    environment = nodes.environment
    answers = nodes.run_on(environment.nodes, ["true"], timeout=15)
    for node, answer in zip(environment.nodes, answers, strict=True):
        if answer.reached:
            return node
    raise RemoteError(
        f"no node of {environment.name} can be reached: {answers[0].error}", f"trivet status {environment.label}"
    )


def crons(environment: Environment) -> dict[str, Any]:
    """The crons: each one's name and command, the node that runs them, and whether a change has them wait."""
    with Nodes(environment) as nodes:
        return nodes.agent(first(nodes), "cron", "list")


def run_cron(environment: Environment, name: str, say: Tell) -> int:
    """Run a cron now, beside its schedule, on the node that runs them. Its exit code.

    :param say: takes each line that it says.
    :raises InputError: there is none of that name.
    :raises RemoteError: the node does not answer.
    """
    with Nodes(environment) as nodes:
        some = first(nodes)
        known = nodes.agent(some, "cron", "list")
        names = [item["name"] for item in known["crons"]]
        if name not in names:
            raise InputError(
                f"{environment.name} has no cron {name}; it has {', '.join(names) or 'none'}",
                f"trivet cron list {environment.label}",
            )
        node = environment.node(known["node"]) if known["node"] else some
        words = ["cron", "run", name]
        result = nodes.follow(node, [AGENT, *words], lambda line: say(node.name, line), CRON_SECONDS)
        return int(nodes.answer(result, words)["code"])


def log_names(environment: Environment) -> tuple[str, ...]:
    """The logs that `logs` takes, of any node that answers."""
    with Nodes(environment) as nodes:
        answers = nodes.at_once(lambda node: nodes.asked(node, ("logs",)), environment.machines)
        reached = [nodes.answer(answer, ("logs",)) for answer in answers if answer.reached]
    if not reached:
        raise RemoteError(f"no node of {environment.name} answers", f"trivet status {environment.label}")
    return tuple(dict.fromkeys(name for answer in reached for name in answer["logs"]))


def read_log(environment: Environment, name: str, node: str, lines: int, *, follow: bool, say: Tell) -> dict[str, str]:
    """Read a log of all nodes at once, or of one.

    :param lines: how many of each, the last ones.
    :param follow: whether to go on with every new line, until the process is ended.
    :param say: takes each line; called from one thread for each node.
    :returns: nodes that gave none, and why.
    :raises InputError: there is no such log or node.
    """
    known = log_names(environment)
    if name not in known:
        raise InputError(f"{environment.name} has no log {name}; it has {', '.join(known)}")
    chosen = (environment.node(node),) if node else environment.machines
    words = [AGENT, "logs", name, "--lines", str(lines), *(["--follow"] if follow else [])]

    def read(one: Node) -> str:
        command = terminal_command(one, words, terminal=False)
        with (
            _Words() as said,
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said.stream,
                text=True,
                errors="replace",
            ) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                say(one.name, line.rstrip("\n"))
            return said.problem(process.wait())

    with ThreadPoolExecutor(max_workers=len(chosen)) as pool:
        problems = dict(zip([one.name for one in chosen], pool.map(read, chosen), strict=True))
    return {name: problem for name, problem in problems.items() if problem}


@contextmanager
def _output_of(command: Sequence[str], what: str, ended_well: Sequence[int] = (0,)) -> Iterator[IO[bytes]]:
    """What a command writes, as it comes.

    :raises RemoteError: it ends with another exit code, in its own words.
    """
    with _Words() as said:
        with subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said.stream
        ) as process:
            assert process.stdout is not None
            try:
                yield process.stdout
                process.stdout.read()
            except RemoteError as error:
                # Who takes an output that ends too early complains of that; the command says why it ended.
                process.stdout.close()
                if process.wait() in ended_well:
                    raise
                raise RemoteError(f"{what}: {said.problem(process.returncode)}") from error
        said.need(process.returncode, what, ended_well)


def _unpacked(stream: IO[bytes], target: Path, tell: Callable[[str], None]) -> int:
    """Unpack an archive as GNU tar does it, which lets nothing lead out of the folder. How many files it has.

    Python's own filter of what leads out came after Debian 12 (3.11.4).
    """
    words = ["tar", "--extract", "--verbose", "--no-same-owner", "--no-overwrite-dir", "--directory", str(target)]
    number = 0
    with _Words() as said:
        with subprocess.Popen(
            words, stdin=stream, stdout=subprocess.PIPE, stderr=said.stream, text=True, errors="replace"
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if not line.endswith("/\n"):
                    number += 1
                    tell(line.rstrip("\n").removeprefix("./"))
        said.need(process.returncode, str(target))
    return number


def _copy(source: IO[bytes], target: IO[bytes], tell: Callable[[int], None]) -> None:
    total = 0
    while block := source.read(BLOCK_BYTES):
        target.write(block)
        total += len(block)
        tell(total)


class _Words:
    """What a command says on standard error: a file, since nobody reads it while its output is read."""

    def __enter__(self) -> _Words:
        self.stream = tempfile.TemporaryFile()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stream.close()

    def problem(self, code: int) -> str:
        """Why it failed, in its last words; empty when it did not."""
        if code == 0:
            return ""
        self.stream.seek(0)
        lines = [line.strip() for line in self.stream.read().decode(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else f"exit code {code}"

    def need(self, code: int, what: str, ended_well: Sequence[int] = (0,)) -> None:
        """Raise for an exit code.

        :raises RemoteError: it is none of those that are well.
        """
        if code not in ended_well:
            raise RemoteError(f"{what}: {self.problem(code)}")
