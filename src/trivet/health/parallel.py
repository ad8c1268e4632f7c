# SPDX-License-Identifier: GPL-3.0-or-later
"""Several questions at once, answered within a time, whatever becomes of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from trivet.health.external import NoAnswer

_Answer = TypeVar("_Answer")

ASSEMBLY_SECONDS = 0.3
"""What is left of a collection when a collector stops waiting for its own questions, so that it can still say what it
knows."""

_asked: dict[str, threading.Thread] = {}
"""The thread of the last time a question was asked, by its name."""


def together(questions: Mapping[str, Callable[[], _Answer]], seconds: float) -> dict[str, _Answer | NoAnswer]:
    """Ask all questions at once and wait at most ``seconds``.

    A question that raises, or takes too long, gets a :class:`NoAnswer` for its answer. One whose earlier thread
    still hangs (on a mount that blocks) is not asked again, so that threads do not pile up.

    Args:
        questions: by name; the name is the same for the same question throughout the process.
    """
    answers: dict[str, _Answer | NoAnswer] = {}
    end = time.monotonic() + seconds
    for name, question in questions.items():
        earlier = _asked.get(name)
        if earlier is not None and earlier.is_alive():
            answers[name] = NoAnswer("still hangs since an earlier time")
            continue
        # Daemon threads, not an executor's: the interpreter would wait for those at its end.
        _asked[name] = threading.Thread(target=_ask, args=(name, question, answers), name=name, daemon=True)
        _asked[name].start()
    for name in questions.keys() - answers.keys():
        _asked[name].join(max(0.0, end - time.monotonic()))
    return {name: answers.get(name, NoAnswer(f"no answer in {seconds:.1f} s")) for name in questions}


def _ask(name: str, question: Callable[[], _Answer], answers: dict[str, _Answer | NoAnswer]) -> None:
    try:
        answers[name] = question()
    except NoAnswer as problem:
        answers[name] = problem
    except Exception as problem:
        # Whatever surprise one answer holds, it must not hide the others.
        answers[name] = NoAnswer(f"{type(problem).__name__}: {problem}")
