# SPDX-License-Identifier: GPL-3.0-or-later
"""How nginx and PHP-FPM are broken."""

from __future__ import annotations

from trivet.chaos.faults import NO_FAILURE, Daemon, Faults

FAULTS = Faults(
    daemons=(
        Daemon("nginx", "nginx", "nginx.service", goal=NO_FAILURE),
        Daemon("php-fpm", "PHP-FPM", "php*-fpm.service", goal=NO_FAILURE),
    )
)
