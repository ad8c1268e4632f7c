# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateway addresses that this node sends on, and those that it must not take."""

from __future__ import annotations

import time
from functools import partial

from trivet.node.listed_flags import Config, FlagKind, Listed
from trivet.services.gateway import command


def look_handover(records: str, kind: str, what: str, _config: Config) -> list[Listed]:
    """Forwards or releases of gateway addresses."""
    return [
        Listed(
            kind=kind,
            subject=address,
            owner=str(record["owner"]),
            since=record["since"],
            expires=record["expires"],
            what=what.format(address, record.get("next")),
            ending=bool(record.get("retained")) and record["expires"] > time.time(),
        )
        for address, record in command.read_state()[records].items()
    ]


def undo_release(address: str, config: Config) -> str:
    """Let this node be eligible for a gateway address again."""
    command.allow(address, command.address_number(config, address))
    return "eligible again"


FLAGS = {
    "forward": FlagKind(
        partial(look_handover, "forwards", "forward", "new connections to {0} are sent on to {1}"), command.end_forward
    ),
    "release": FlagKind(partial(look_handover, "releases", "release", "this node does not take {0}"), undo_release),
}
