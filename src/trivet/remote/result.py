# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command on a node answered."""

from __future__ import annotations

from dataclasses import dataclass

UNREACHABLE_EXIT_CODE = 255


@dataclass(frozen=True, slots=True)
class RemoteResult:
    """What a command on a node answered. ``code`` 255 means that the node was not reached."""

    node: str
    code: int
    output: str
    error: str

    @property
    def reached(self) -> bool:
        """Whether the command ran at all."""
        return self.code != UNREACHABLE_EXIT_CODE

    @classmethod
    def unreached(cls, node: str, why: str) -> RemoteResult:
        """The answer of a node that did not answer."""
        return cls(node, UNREACHABLE_EXIT_CODE, "", why)
