# SPDX-License-Identifier: GPL-3.0-or-later
"""What every room of changes begins with: an environment, who changes it, and connections that its verbs share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from types import TracebackType
from typing import Self

from trivet.model import Environment
from trivet.remote import Nodes
from trivet.run.events import Listener, unheard
from trivet.run.lease import run_owner
from trivet.run.stop import StopRequest


class OnNodes:
    """The verbs of one kind of change. As a context, all of them go over the same connections.

    :param listener: takes what the change tells.
    :param stop: the operator's wish to stop.
    """

    def __init__(self, environment: Environment, listener: Listener = unheard, stop: StopRequest | None = None) -> None:
        self._environment = environment
        self._listener = listener
        self._stop = stop or StopRequest()
        self._owner = run_owner()
        self._open: Nodes | None = None

    def __enter__(self) -> Self:
        """Open the environment once for all verbs until the end of the context."""
        self._open = Nodes(self._environment)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            opened.__exit__(kind, error, trace)

    def bound(self, listener: Listener, stop: StopRequest) -> Self:
        """The same, over the same connections, with another listener and wish to stop."""
        other = copy(self)
        other._listener, other._stop = listener, stop
        return other

    @contextmanager
    def _opened(self) -> Iterator[Nodes]:
        if self._open is not None:
            yield self._open
            return
        with Nodes(self._environment) as nodes:
            yield nodes
