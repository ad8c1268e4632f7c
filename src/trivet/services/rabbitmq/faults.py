# SPDX-License-Identifier: GPL-3.0-or-later
"""How a broker is broken. Outages and partitions of the whole environment strike it too."""

from __future__ import annotations

from trivet.chaos.faults import NO_FAILURE, Daemon, Faults

FAULTS = Faults(
    daemons=(Daemon("rabbitmq", "RabbitMQ", "rabbitmq-server.service", goal=NO_FAILURE, limit=300, optional=True),)
)
