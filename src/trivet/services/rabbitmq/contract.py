# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of RabbitMQ."""

from __future__ import annotations

from pathlib import Path

from trivet.services.contract import Backend, Contract, Listen, Name, Peer, Place, Port, Switch, Unit

ENABLED = Switch(
    name="rabbitmq_enabled",
    default=False,
    what="whether the environment has RabbitMQ",
    setting=True,
    changeable=True,
)
PORT = Port(
    name="rabbitmq_port",
    default=5672,
    what="RabbitMQ: AMQP",
    setting=True,
    listens=(Listen.NODE,),
    peers=(Peer.NODE, Peer.CLIENT),
)
DISTRIBUTION_PORT = Port(
    name="rabbitmq_distribution_port",
    default=25672,
    what="RabbitMQ: the brokers among themselves",
    listens=(Listen.NODE,),
    peers=(Peer.NODE,),
)
EPMD_PORT = Port(
    name="rabbitmq_epmd_port",
    default=4369,
    what="Erlang's port mapper, which knows the port before",
    listens=(Listen.NODE, Listen.LOCAL),
    peers=(Peer.NODE,),
)
HOME = Place(
    name="rabbitmq_home",
    default=Path("/var/lib/rabbitmq"),
    what="RabbitMQ's data, and the secret by which brokers and `erl_call` are known",
)
VIRTUAL_HOST = Name(name="rabbitmq_virtual_host", default="shop", what="virtual host of the application", setting=True)
USER = Name(name="rabbitmq_user", default="shop", what="user of the application", setting=True)

BROKER = Backend(
    name="rabbitmq",
    servers=PORT,
    asks="rabbitmq",
    chooses="least connections",
    local=Port(name="rabbitmq_local_port", default=5672, what="HAProxy → RabbitMQ", listens=(Listen.LOCAL,)),
)

CONTRACT = Contract(
    service="rabbitmq",
    units=(Unit(name="rabbitmq-server"),),
    ports=(PORT, DISTRIBUTION_PORT, EPMD_PORT),
    places=(HOME,),
    names=(VIRTUAL_HOST, USER),
    backends=(BROKER,),
    drainable=True,
    enabled=ENABLED,
    secrets=("rabbitmq_password", "rabbitmq_erlang_cookie"),
)
