# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of the web tier: nginx and PHP-FPM."""

from __future__ import annotations

import re

from trivet.services.contract import Backend, Contract, Listen, Machines, Name, Peer, Port, Unit

NGINX_PORT = Port(
    name="nginx_port",
    default=8080,
    what="nginx",
    setting=True,
    listens=(Listen.NODE, Listen.LOCAL),
    peers=(Peer.NODE, Peer.WEB),
)
PHP_VERSION = Name(
    name="php_fpm_version",
    default="8.2",
    what="version of PHP, which is part of package, unit and program names",
    setting=True,
    changeable=True,
    pattern=r"\d+\.\d+",
    takes='a version such as "8.2"',
)

PHP_FPM_UNIT = re.compile(r"(php[\d.]*-fpm|trivet-app@[^/]+)\.service")
"""The units that ``php-fpm`` stands for: the inventory's pool in some version, or an instance of a release."""
CONTRACT = Contract(
    service="web",
    units=(Unit(name="nginx", machines=Machines.ALL), Unit(name="php-fpm", machines=Machines.ALL)),
    ports=(NGINX_PORT,),
    names=(PHP_VERSION,),
    backends=(
        Backend(
            name="web",
            servers=NGINX_PORT,
            asks="web",
            chooses="least connections; the health page answers 200",
            hold=Port(
                name="web_hold_port", default=9702, what="agent: hold port of the web servers", listens=(Listen.LOCAL,)
            ),
            # A deploy that changes the schema holds for as long as its hook needs.
            hold_limit_seconds=300.0,
            any_server=True,
        ),
    ),
    drainable=True,
)
