# SPDX-License-Identifier: GPL-3.0-or-later
"""Backends whose new connections wait."""

from __future__ import annotations

from trivet.health.external import Deadline, unit_state
from trivet.node.flag_files import UNKNOWN_OWNER
from trivet.node.listed_flags import Config, FlagKind, Listed
from trivet.services.proxy.haproxy import HANDOVER_BACKEND, HOLD_LIMITS, Runtime, parse_stat, stat_command

SYSTEMD_SECONDS = 5.0


def look_holds(_config: Config) -> list[Listed]:
    """Backends held back. The agent ends a hold by itself; who began it is not noted, nor needed."""
    if unit_state("haproxy.service", Deadline(SYSTEMD_SECONDS)) in ("inactive", "failed", "masked"):
        return []  # A hold lives in the memory of HAProxy.
    switches = parse_stat(Runtime().ask(stat_command(HANDOVER_BACKEND)))
    return [
        Listed(
            kind="hold",
            subject=switch.name,
            owner=UNKNOWN_OWNER,
            what=f"this node's proxy makes new connections of {switch.name} wait; "
            f"the agent ends it after {HOLD_LIMITS[switch.name]:.0f} s",
        )
        for switch in switches
        if not switch.up
    ]


def undo_hold(backend: str, _config: Config) -> str:
    """Let the connections of a backend go."""
    Runtime().tell(f"set server {HANDOVER_BACKEND}/{backend} state ready")
    return "released"


FLAGS = {"hold": FlagKind(look_holds, undo_hold)}
