# SPDX-License-Identifier: GPL-3.0-or-later
"""Any machines: the operator's own program stops, resizes, starts, makes and removes them.

The contract, which docs/how-to/provider-command.md ("The command provider") tells with an example that the tests run:

- ``trivet_provider_command`` of the inventory is a program. It is called as
  ``PROGRAM check|stop|resize|start|create|check-create|delete NODE``.
- Standard input is one line of JSON: ``{"verb", "node", "address", "size": {"name", "cpus", "memory_mib"},
  "environment"}``; address and size are null where there is none (a new machine that may have any address). The same
  is in the environment variables TRIVET_NODE, TRIVET_ADDRESS, TRIVET_SIZE, TRIVET_CPUS, TRIVET_MEMORY_MIB and
  TRIVET_ENVIRONMENT.
- A line of standard output that begins with ``{`` is an answer: a JSON object with ``progress`` (words for the
  operator) or ``address``, which ``create`` must tell. Every other line is the program's own.
- Exit 0 means that the verb is done. Anything else fails it, with the program's last words as the reason.
- Every verb must be harmless when repeated, also while an earlier call still runs: the program has a session of its
  own, and goes on to its end when Trivet is interrupted or dies.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import asdict
from typing import IO, Any

from trivet.errors import InputError, TrivetError
from trivet.model.environment import Environment, Node
from trivet.model.size import Size, size_named
from trivet.providers.progress import Tell, silent

TIMEOUT_SECONDS = 1800
GRACE_SECONDS = 10
POLL_SECONDS = 0.05


class CommandProvider:
    """Calls ``trivet_provider_command``.

    :raises InputError: when the inventory does not name an executable program.
    """

    def __init__(self, environment: Environment, tell: Tell = silent) -> None:
        program = str(environment.variables.get("trivet_provider_command") or "")
        if not program or shutil.which(program) is None:
            raise InputError(
                f"{environment.inventory}: trivet_provider_command is {program!r}; "
                "provider command needs an executable program (docs/how-to/provider-command.md says how it is called)"
            )
        self._program = program
        self._environment = environment
        self._tell = tell

    def check(self, node: Node) -> None:
        """Ask the program whether it knows the machine."""
        self._call("check", node.name, node.address)

    def target(self, size: str) -> Size:
        """The table's size."""
        return size_named(size)

    def stop(self, node: Node) -> None:
        """Shut the machine down."""
        self._call("stop", node.name, node.address)

    def resize(self, node: Node, size: str) -> None:
        """Give the machine its new size."""
        self._call("resize", node.name, node.address, self.target(size))

    def start(self, node: Node) -> None:
        """Start the machine."""
        self._call("start", node.name, node.address)

    def record(self, size: str) -> None:
        """Nothing: the inventory is the operator's file, and the report says to set trivet_size there."""

    def create(self, name: str, size: str, address: str | None = None) -> str:
        """Make a machine; its address is what the program answers.

        :raises TrivetError: also when the answer has no IPv4 address, or that of another node.
        """
        answer = self._call("create", name, address, self.target(size))
        return self._new_address(name, answer.get("address"))

    def check_create(self, name: str, size: str, address: str | None = None) -> None:
        """Ask the program whether it could make the machine; one that does not know the verb is taken to say no."""
        self._call("check-create", name, address, self.target(size))

    def delete(self, node: Node) -> None:
        """Remove the machine for good."""
        self._call("delete", node.name, node.address)

    def _new_address(self, name: str, said: Any) -> str:
        call = f"{self._program} create {name}"
        try:
            # Text only: ipaddress takes the number 17 for 0.0.0.17.
            address = str(ipaddress.IPv4Address(said if isinstance(said, str) else ""))
        except ValueError as error:
            what = "no address" if said is None else f"address {said!r}, which is no IPv4 address"
            raise TrivetError(
                f"{call} ended well but answered {what}; expected is a line such as "
                '{"address": "192.0.2.14"} on its standard output',
                "mend the program; create may be repeated",
            ) from error
        taken = {node.address: node.name for node in self._environment.machines if node.name != name}
        taken |= dict.fromkeys(self._environment.gateways, "a gateway")
        if address in taken:
            raise TrivetError(f"{call} answered {address}, which is the address of {taken[address]}")
        return address

    def _call(self, verb: str, name: str, address: str | None, size: Size | None = None) -> dict[str, Any]:
        """Run the program for one verb.

        :returns: what its answers say, the last one of each key.
        """
        call = f"{self._program} {verb} {name}"
        request = {
            "verb": verb,
            "node": name,
            "address": address,
            "size": asdict(size) if size else None,
            "environment": self._environment.name,
        }
        # Files instead of pipes: a program that outlives Trivet is neither blocked nor ended by what it prints.
        with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            asked.write(json.dumps(request).encode() + b"\n")
            asked.seek(0)
            process = self._start([self._program, verb, name], _variables(request, size), asked, output, errors)
            answers = _Answers(output, call, self._tell)
            _wait(process, call, answers)
            if process.returncode != 0:
                words = _last_words(errors) or _last_words(output) or "it said nothing"
                raise TrivetError(f"{call} failed with exit code {process.returncode}: {words}")
            return answers.rest()

    def _start(
        self, words: list[str], variables: dict[str, str], asked: IO[bytes], output: IO[bytes], errors: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                words,
                env={**os.environ, **variables},
                stdin=asked,
                stdout=output,
                stderr=errors,
                # A session of its own: the operator's Ctrl-C stops Trivet, not a machine that is half-way down.
                start_new_session=True,
            )
        except OSError as error:
            raise TrivetError(f"{' '.join(words)} could not be started: {error.strerror}") from error


class _Answers:
    """Reads what the program prints while it runs, and passes its progress on."""

    def __init__(self, output: IO[bytes], call: str, tell: Tell) -> None:
        self._output = output
        self._call = call
        self._tell = tell
        self._position = 0
        self._begun = b""
        self._said: dict[str, Any] = {}
        self._malformed = ""

    def read(self) -> None:
        """Take in the lines that are complete by now."""
        # Not by seeking: the program shares the file's offset.
        while fresh := os.pread(self._output.fileno(), 65536, self._position):
            self._position += len(fresh)
            *lines, self._begun = (self._begun + fresh).split(b"\n")
            for line in lines:
                self._take(line)

    def rest(self) -> dict[str, Any]:
        """What was said in all, the last line included.

        :raises TrivetError: when a line was malformed. Not sooner: a machine that is half-way down is worse than an
            answer that is half-way right.
        """
        self.read()
        self._take(self._begun)
        self._begun = b""
        if self._malformed:
            raise TrivetError(
                f"{self._call} answered {self._malformed}, which is not JSON; a line that begins with {{ is expected "
                'to be an object such as {"progress": "waiting for the disk"} or {"address": "192.0.2.14"}',
                "mend the program; the verb may be repeated",
            )
        return self._said

    def _take(self, line: bytes) -> None:
        text = line.decode(errors="replace").strip()
        if not text.startswith("{"):
            return
        try:
            answer = json.loads(text)
        except ValueError:
            self._malformed = self._malformed or text[:200]
            return
        if answer.get("progress"):
            self._tell(str(answer["progress"]))
        self._said |= answer


def _variables(request: dict[str, Any], size: Size | None) -> dict[str, str]:
    variables = {
        "TRIVET_NODE": request["node"],
        "TRIVET_ADDRESS": request["address"] or "",
        "TRIVET_ENVIRONMENT": request["environment"],
        "TRIVET_SIZE": size.name if size else "",
    }
    if size:
        variables |= {"TRIVET_CPUS": str(size.cpus), "TRIVET_MEMORY_MIB": str(size.memory_mib)}
    return variables


def _wait(process: subprocess.Popen[bytes], call: str, answers: _Answers) -> None:
    """Wait for the program's end; end it with all that it started when its time is up.

    :raises TrivetError: when its time was up.
    """
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while process.poll() is None:
        answers.read()
        if time.monotonic() > deadline:
            _end(process)
            raise TrivetError(
                f"{call} did not end within {TIMEOUT_SECONDS} s, and was ended with all that it had started",
                "look at the machine where the provider lives; the verb may be repeated",
            )
        time.sleep(POLL_SECONDS)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program's process group: politely first, then all that is left of it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            # The leader of a session has its own process id as the group's.
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)


def _last_words(stream: IO[bytes], lines: int = 3) -> str:
    size = os.fstat(stream.fileno()).st_size
    text = os.pread(stream.fileno(), 4096, max(0, size - 4096)).decode(errors="replace")
    return " / ".join(text.strip().splitlines()[-lines:])
