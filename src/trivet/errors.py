# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that an operator reads: what is wrong, where, and what to do next."""

from __future__ import annotations


class TrivetError(Exception):
    """A condition that stops a command, told in words for an operator.

    :param message: one sentence: what is wrong, naming the file and the key, or the node and the service.
    :param next_command: the command that shows more or mends it, if there is one.
    """

    exit_code = 2

    def __init__(self, message: str, next_command: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_command = next_command


class InputError(TrivetError):
    """Bad input: found before anything was touched."""


class GridError(TrivetError):
    """The lab could not be made, reached or removed."""


class BuildError(TrivetError):
    """A release could not be built, or is not what was built; nothing else was changed."""

    exit_code = 1


class RemoteError(TrivetError):
    """A node could not be reached, or a command on it failed."""


class PlaybookError(TrivetError):
    """A playbook failed on at least one node."""


class ChangeHalted(TrivetError):
    """A change stopped before its end; the journal says where, and how it goes on."""


class ChangeStopped(TrivetError):
    """A change stopped where it was safe, because it was asked to."""

    exit_code = 130


class LeaseHeld(TrivetError):
    """Somebody else holds the lease of the environment."""


class NotBroken(TrivetError):
    """What a scenario was to break did not break, so that its row would show nothing."""


class ChaosHalted(TrivetError):
    """A lab is not healthy before or after a scenario, so that the next one would measure nothing."""


class ChaosStopped(TrivetError):
    """The failure suite was stopped; what it had broken is undone."""

    exit_code = 130
