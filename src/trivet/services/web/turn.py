# SPDX-License-Identifier: GPL-3.0-or-later
"""The web server in a node's turn: HAProxy alone takes it out and in."""

from __future__ import annotations

from trivet.rotation.turn import Turn

TURN = Turn(drained_in=("web",), used_in=("web",))
