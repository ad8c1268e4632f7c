# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx and PHP-FPM of this node, proved by real pages: from nginx itself and through HAProxy."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from trivet.health.collector import Collect
from trivet.health.config import NodeConfig
from trivet.health.external import Deadline, NoAnswer, http_get, unit_state
from trivet.health.http import Response
from trivet.services.gateway.contract import HTTP_PORT, HTTPS_PORT
from trivet.services.web.contract import NGINX_PORT, PHP_FPM_UNIT
from trivet.services.web.facts import Page, WebFacts

_REDIRECTS = (301, 302, 307, 308)


def collect(config: NodeConfig, deadline: Deadline) -> WebFacts:
    """Gather the facts of nginx and PHP-FPM on this node."""
    facts = collect_own(config, deadline)
    # The HAProxy of a web node has no public frontend.
    return facts if config.web_only else replace(facts, proxied=measured(lambda: _proxied(config, deadline)))


def collect_own(config: NodeConfig, deadline: Deadline) -> WebFacts:
    """The same without the shop's front page, which costs more than all other questions and may need TLS."""
    return WebFacts(
        nginx=unit_state("nginx.service", deadline),
        php_fpm=php_fpm_state(deadline.units()),
        direct=measured(lambda: _direct(config, deadline)),
    )


def php_fpm_state(units: Mapping[str, str]) -> str:
    """The state of PHP-FPM, whose unit has the version, or the instance of the application, in its name.

    After a change of the version, and while a release takes over from another, several are there.
    """
    states = [state for unit, state in units.items() if PHP_FPM_UNIT.fullmatch(unit)]
    return min(states, key=lambda state: state in ("inactive", "failed", "masked"), default="inactive")


def _direct(config: NodeConfig, deadline: Deadline) -> Response:
    port = config.terms[NGINX_PORT]
    return http_get(config.address, port, config.health_page, deadline, headers={"Host": config.domain})


def _proxied(config: NodeConfig, deadline: Deadline) -> Response:
    headers = {"Host": config.domain}
    response = http_get("127.0.0.1", HTTP_PORT.default, "/", deadline, headers=headers)
    if response.status in _REDIRECTS and response.location.startswith("https://"):
        return http_get("127.0.0.1", HTTPS_PORT.default, "/", deadline, headers=headers, tls_name=config.domain)
    return response


def measured(request: Callable[[], Response]) -> Page:
    """Make a request for a page and note how it went."""
    started = time.monotonic()
    try:
        response = request()
    except NoAnswer as problem:
        return Page(error=str(problem), seconds=round(time.monotonic() - started, 3))
    return Page(status=response.status, seconds=round(time.monotonic() - started, 3))


COLLECT = Collect(facts=WebFacts, full=collect, own=collect_own)
