# SPDX-License-Identifier: GPL-3.0-or-later
"""``session``: answers one question after the other, for as long as whoever asks keeps the connection.

While clients are held, every start of a program is time that they wait: Python and its modules are a tenth of a second
on an idle core, and several tenths on a busy one. A session is started before, with the modules that will be needed.

Each line of standard input is the words of a command as a JSON list; each line of standard output is
``{"code": …, "answer": {…}}``, after a first one that says that it listens.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from trivet.agent.commands import MODULES, answer
from trivet.agent.priority import unhurried

READY = {"session": "ready"}


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``session`` to the agent's command line."""
    session = subparsers.add_parser("session", help="answer commands from standard input, a JSON list a line")
    session.add_argument("load", nargs="*", choices=tuple(MODULES), help="commands to be ready for")
    session.set_defaults(run=run_session)


def run_session(args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Answer until standard input ends."""
    with unhurried():
        for command in args.load:
            importlib.import_module(f"trivet.{MODULES[command]}")
    _say(READY)
    answered = 0
    with _questions() as questions:
        for line in questions:
            _say(_answer(line))
            answered += 1
    return {"answered": answered}


def _questions() -> TextIO:
    """Standard input, which the programs that a command starts do not get: they would swallow the next question."""
    kept = os.dup(sys.stdin.fileno())
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    return os.fdopen(kept, encoding="utf-8")


def _answer(line: str) -> dict[str, Any]:
    try:
        words = json.loads(line)
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("not a list of words")
        code, said = answer(words)
    except (ValueError, SystemExit) as problem:
        return {"code": 2, "answer": {"error": f"no command: {line.strip()} ({problem})"}}
    except Exception as problem:
        # Whatever it is, the next question may be the one that releases the clients.
        return {"code": 1, "answer": {"error": f"{type(problem).__name__}: {problem}"}}
    return {"code": code, "answer": said}


def _say(words: Mapping[str, Any]) -> None:
    print(json.dumps(words), flush=True)
