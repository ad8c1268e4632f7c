# SPDX-License-Identifier: GPL-3.0-or-later
"""How keepalived is broken."""

from __future__ import annotations

from trivet.chaos.faults import Daemon, Faults

FAULTS = Faults(daemons=(Daemon("keepalived", "keepalived", "keepalived.service"),))
