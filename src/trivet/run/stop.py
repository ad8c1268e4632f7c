# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's wish to stop."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class StopRequest:
    """The operator's wish to stop, set by a signal handler.

    :param by: who or what asked; empty when nobody did.
    :param at_once: stop after the step that runs, and leave the node as it is; else where it is safe.
    """

    by: str = ""
    at_once: bool = False
