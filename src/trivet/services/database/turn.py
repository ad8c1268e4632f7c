# SPDX-License-Identifier: GPL-3.0-or-later
"""The database in a node's turn: the writer moves while new connections are held."""

from __future__ import annotations

import time

from trivet.errors import ChangeHalted
from trivet.rotation.turn import ClientCommands, OnTurn, Turn
from trivet.services.proxy.facts import WRITER_BACKEND

# With the time that the proxies wait for what is in flight below the limit of a hold.
APPLIED_SECONDS = 3.0
CLIENTS = ClientCommands("galera")
MOVES = 3
LOOKS, LOOK_SECONDS = 6, 0.2
"""How often and for how long the proxies are looked at after a move."""


def hand_over(on: OnTurn) -> None:
    """Have another node be the writer, where this one is; refuse to cut whoever reads from it, too."""
    if on.every_agent("proxy", "states")[on.node.name]["writer"] == on.node.name:
        on.tell("handing over the database writer")
        _move(on)
    else:
        on.watched(CLIENTS)


def _move(on: OnTurn) -> None:
    """Move the writer until the proxies keep the new one.

    They tell one another whom connections stick to. What one of them said right before the move may reach another
    right after it, which tells it on: then all of them are back (seen with HAProxy 2.6, nearly without load).
    """
    for _ in range(MOVES):
        on.uncut(CLIENTS, lambda newest: on.held(WRITER_BACKEND, lambda: _applied(on), CLIENTS, newest))
        if not (back := _gone_back(on)):
            return
        on.tell(f"{back} went back to {on.node.name} as the writer; it is handed over again")
    raise ChangeHalted(
        f"the proxies went back to {on.node.name} as the writer {MOVES} times; nothing of it was touched",
        on.status_command,
    )


def _gone_back(on: OnTurn) -> str:
    """The nodes whose proxies write to this node again, in words; empty when none does for a while."""
    for _ in range(LOOKS):
        states = on.every_agent("proxy", "states")
        if back := [name for name, state in states.items() if state["writer"] == on.node.name]:
            return " and ".join(back)
        time.sleep(LOOK_SECONDS)
    return ""


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
