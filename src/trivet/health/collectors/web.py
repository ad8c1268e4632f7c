# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx and PHP-FPM of this node, proved by real pages: from nginx itself and through HAProxy."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from trivet.health.config import WEB_PORT, NodeConfig
from trivet.health.external import Deadline, NoAnswer, Response, http_get, unit_states
from trivet.health.facts import Page, WebFacts

_UNIT_DIRECTORIES = tuple(
    map(Path, ("/usr/lib/systemd/system", "/lib/systemd/system", "/etc/systemd/system"))
)
_REDIRECTS = (301, 302, 307, 308)


def collect(config: NodeConfig, deadline: Deadline) -> WebFacts:
    """Gather the facts of nginx and PHP-FPM on this node."""
    fpm_units = php_fpm_units()
    states = unit_states(("nginx.service", *fpm_units), deadline)
    return WebFacts(
        nginx=states.pop("nginx.service"),
        php_fpm=_best(tuple(states.values())),
        direct=measured(lambda: _direct(config, deadline)),
        proxied=measured(lambda: _proxied(config, deadline)),
    )


def php_fpm_units() -> tuple[str, ...]:
    """The installed units of PHP-FPM; Debian puts the version in the name."""
    names = {path.name for directory in _UNIT_DIRECTORIES for path in directory.glob("php*-fpm.service")}
    return tuple(sorted(names))


def _best(states: tuple[str, ...]) -> str:
    """After a change of the PHP version two units are there, of which one runs."""
    if not states:
        return "missing"
    return next((state for state in states if state not in ("inactive", "failed")), states[-1])


def _direct(config: NodeConfig, deadline: Deadline) -> Response:
    return http_get(config.address, WEB_PORT, "/health_check.php", deadline, headers={"Host": config.domain})


def _proxied(config: NodeConfig, deadline: Deadline) -> Response:
    headers = {"Host": config.domain}
    response = http_get("127.0.0.1", 80, "/", deadline, headers=headers)
    if response.status in _REDIRECTS and response.location.startswith("https://"):
        return http_get("127.0.0.1", 443, "/", deadline, headers=headers, tls_name=config.domain)
    return response


def measured(request: Callable[[], Response]) -> Page:
    """Make a request for a page and note how it went."""
    started = time.monotonic()
    try:
        response = request()
    except NoAnswer as problem:
        return Page(error=str(problem), seconds=round(time.monotonic() - started, 3))
    return Page(status=response.status, seconds=round(time.monotonic() - started, 3))
