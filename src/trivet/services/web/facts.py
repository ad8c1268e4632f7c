# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node says of its nginx and PHP-FPM."""

from __future__ import annotations

from dataclasses import dataclass

from trivet.health.facts import ServiceFacts


@dataclass(frozen=True, kw_only=True)
class Page:
    """The answer to one request for a real page; ``status`` is 0 when there was none."""

    status: int = 0
    seconds: float = 0.0
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class WebFacts(ServiceFacts):
    """nginx and PHP-FPM: their units, and a real page by both ways."""

    NAME = "web"

    nginx: str = "unknown"
    php_fpm: str = "unknown"
    direct: Page = Page()
    """The application's health page from the node's own nginx."""
    proxied: Page = Page()
    """``/`` through the node's own HAProxy."""


FACTS = WebFacts
