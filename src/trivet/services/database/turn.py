# SPDX-License-Identifier: GPL-3.0-or-later
"""The database in a node's turn: the writer moves while new connections are held."""

from __future__ import annotations

from trivet.errors import ChangeHalted
from trivet.rotation.turn import ClientCommands, OnTurn, Turn
from trivet.services.proxy.facts import WRITER_BACKEND

# With the time that the proxies wait for what is in flight below the limit of a hold.
APPLIED_SECONDS = 3.0
CLIENTS = ClientCommands("galera")


def hand_over(on: OnTurn) -> None:
    """Have another node be the writer, where this one is; refuse to cut whoever reads from it, too."""
    if on.every_agent("proxy", "states")[on.node.name]["writer"] == on.node.name:
        on.tell("handing over the database writer")
        on.uncut(CLIENTS, lambda newest: on.held(WRITER_BACKEND, lambda: _applied(on), CLIENTS, newest))
    else:
        on.watched(CLIENTS)


def _applied(on: OnTurn) -> str:
    """Wait until every other node has applied all commits; the nodes that may be the writer then."""
    wanted = on.agent("galera", "status")["last_committed"]
    arguments = ("galera", "applied", str(wanted), "--wait", str(APPLIED_SECONDS))
    answers = on.nodes.agents(on.others, *arguments, timeout=APPLIED_SECONDS + 15)
    if late := [name for name, answer in answers.items() if not answer["applied"]]:
        raise ChangeHalted(
            f"{' and '.join(late)} did not apply what {on.node.name} committed within {APPLIED_SECONDS:.0f} s",
            on.status_command,
        )
    return ",".join(answers)


def use_everywhere(on: OnTurn) -> None:
    """Have every proxy take any node as the writer again."""
    everyone = ",".join(node.name for node in on.environment.nodes)
    on.answering_agents("proxy", "release", WRITER_BACKEND, "--ready", everyone)


TURN = Turn(
    sessions=("galera",),
    hand_over=hand_over,
    drained_in=(WRITER_BACKEND, "db_reader"),
    let_go=lambda on: on.let_go(CLIENTS),
    used_in=("db_reader",),
    used=use_everywhere,
)
