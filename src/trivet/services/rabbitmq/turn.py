# SPDX-License-Identifier: GPL-3.0-or-later
"""RabbitMQ in a node's turn: it hands its leaders over and sends its clients on before anything stops."""

from __future__ import annotations

from trivet.errors import RemoteError
from trivet.rotation.turn import OnTurn, Turn

WAIT_SECONDS = 60.0


def step_aside(on: OnTurn) -> None:
    """Hand the queues' leaders to other nodes, and close the clients' connections in AMQP's own words.

    Connections live for hours, so no proxy would ever find the node idle by itself.
    """
    answer = on.agent("rabbitmq", "hand-over", "--wait", str(WAIT_SECONDS), timeout=WAIT_SECONDS + 60)
    on.tell(f"RabbitMQ: {answer['leaders']} queues handed over, {answer['connections']} connections sent on")


def copy_queues(on: OnTurn) -> None:
    """Take copies of the queues that were declared while the node was away; the verdict says whether any is missing."""
    try:
        on.agent("rabbitmq", "grow", timeout=120)
    except RemoteError as error:
        on.tell(f"RabbitMQ: {error.message}")


def take_part(on: OnTurn) -> None:
    """Take clients again, and a share of the leaders."""
    on.agent("rabbitmq", "take-part", timeout=120)


TURN = Turn(
    drain=step_aside,
    drained_in=("rabbitmq",),
    catch_up=copy_queues,
    used_in=("rabbitmq",),
    used=take_part,
    undo=take_part,
)
