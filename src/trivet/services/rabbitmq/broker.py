# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the Erlang node of a broker, by ``erl_call``.

``rabbitmqctl`` starts a whole Erlang machine for one question: 1.3 s and half a second of processor on a small node.
``erl_call`` is a C program of the same Debian package as Erlang itself; it takes some hundredths of a second.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from trivet.health.external import NoAnswer, NotRunning
from trivet.services.rabbitmq.contract import HOME

PROGRAM = "erl_call"
"""It finds the cookie in its home, so only root and the broker itself may ask."""
_WRAPPED = """\
io:put_chars(rabbit_json:encode(
  try #{{<<"said">> => (fun() -> {expression} end)()}}
  catch throw:{{refused, Why}} -> #{{<<"refused">> => iolist_to_binary(Why)}};
        Class:Reason -> #{{<<"failed">> => iolist_to_binary(io_lib:format("~0tp: ~0tp", [Class, Reason]))}}
  end)).
"""


class Refused(Exception):
    """The broker did not do it; says why."""


@dataclass(frozen=True)
class Broker:
    """One node of the cluster.

    Attributes:
        node: its Erlang name, such as ``rabbit@production-1``.
    """

    node: str

    def evaluate(self, expression: str, seconds: float) -> Any:
        """The value of an Erlang expression, which must be something that JSON has: a map, a list, a binary, an atom.

        The expression goes by standard input, where nobody else on the node sees a password in it.

        Raises:
            NotRunning: there is no such node.
            NoAnswer: it did not answer in time.
            Refused: it raised, or said ``throw({refused, Words})``.
        """
        said = self._call(_WRAPPED.format(expression=expression), seconds)
        try:
            answer = json.loads(said)
        except ValueError:
            raise NoAnswer(f"{self.node} said {said[:200]!r}") from None
        if "said" in answer:
            return answer["said"]
        raise Refused(str(answer.get("refused") or answer.get("failed")))

    def _call(self, text: str, seconds: float) -> str:
        # A name with a dot in its host part is a long one for Erlang, and nodes of both kinds do not speak.
        kind = "-name" if "." in self.node.partition("@")[2] else "-sname"
        words = [PROGRAM, kind, self.node, "-fetch_stdout", "-no_result_term", "-e"]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(HOME.default)}
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env=environment,
                start_new_session=True,
            )
        except OSError as problem:
            raise NoAnswer(f"{PROGRAM}: {problem.strerror}") from problem
        try:
            stdout, stderr = process.communicate(text, timeout=seconds)
        except subprocess.TimeoutExpired as problem:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise NoAnswer(f"no answer in {seconds:.1f} s from {self.node}") from problem
        if process.returncode != 0:
            raise NotRunning(stderr.strip() or f"{PROGRAM} ended with exit code {process.returncode}")
        return stdout


def binary(text: str) -> str:
    """A text as an Erlang binary, whatever is in it."""
    return f"<<{','.join(str(byte) for byte in text.encode())}>>"


def atom(text: str) -> str:
    """A text as an Erlang atom.

    Raises:
        ValueError: it would end the atom.
    """
    if "'" in text or "\\" in text:
        raise ValueError(f"{text!r} is no name of an Erlang node")
    return f"'{text}'"


def atoms(texts: Iterable[str]) -> str:
    """Texts as a list of Erlang atoms."""
    return f"[{','.join(atom(text) for text in texts)}]"
