# SPDX-License-Identifier: GPL-3.0-or-later
"""RabbitMQ: one broker on each node, and a copy of each queue on all; where the inventory says so."""
