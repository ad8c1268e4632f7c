# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pages of a site a probe may ask for: sitemaps, links, robots.txt and what a link looks like. Pure."""

from __future__ import annotations

import gzip
import html
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

ROBOT = "trivet-probe"
MAXIMUM_SITEMAP_BYTES = 16 * 1024 * 1024

_LOCATION = re.compile(r"<loc>\s*(?:<!\[CDATA\[)?\s*(.*?)\s*(?:\]\]>)?\s*</loc>", re.IGNORECASE | re.DOTALL)
_ACTS = re.compile(
    r"(?<![a-z])(?:add|admin|api|basket|buy|cancel|cart|checkout|clear|compare|confirm|create|delete|destroy|disable|edit"
    r"|empty|export|install|log-?in-?as|log-?off|log-?out|order|pay|payment|purge|register|remove|reset|save"
    r"|send-?friend|sign-?off|sign-?out|signout|subscribe|switch|unsubscribe|update|upload|vote|wishlist)(?![a-z])"
    r"|checkout|logout|signout|unsubscribe|addtocart|delete",
    re.IGNORECASE,
)
"""Words of a path or query that stand for doing something. Better a harmless page too few."""
_PAGE_SUFFIXES = frozenset({"", ".html", ".htm", ".php", ".aspx", ".xhtml"})


@dataclass(frozen=True, slots=True)
class Robots:
    """The rules of a robots.txt for this probe, in the order of the file, and the sitemaps that it names."""

    rules: tuple[tuple[bool, str], ...] = ()
    sitemaps: tuple[str, ...] = ()

    def allows(self, target: str) -> bool:
        """Whether a path with its query may be asked for: the longest rule that fits decides (RFC 9309)."""
        best, allowed = -1, True
        for allow, pattern in self.rules:
            if _fits(pattern, target) and (len(pattern) > best or (len(pattern) == best and allow)):
                best, allowed = len(pattern), allow
        return allowed


def robots_of(text: str) -> Robots:
    """Read a robots.txt: the group of this probe, else that of everybody."""
    groups: dict[str, list[tuple[bool, str]]] = {}
    sitemaps: list[str] = []
    agents: list[str] = []
    heading = False
    for line in text.splitlines():
        name, separator, value = line.partition("#")[0].partition(":")
        name, value = name.strip().lower(), value.strip()
        if not separator:
            continue
        if name == "sitemap":
            sitemaps.append(value)
        elif name == "user-agent":
            agents = [*agents, value.lower()] if heading else [value.lower()]
            heading = True
            groups.setdefault(value.lower(), [])
        elif name in ("allow", "disallow"):
            heading = False
            for agent in agents if value else ():
                groups[agent].append((name == "allow", value))
        else:
            heading = False
    return Robots(tuple(groups.get(ROBOT, groups.get("*", []))), tuple(sitemaps))


def _fits(pattern: str, target: str) -> bool:
    ended = pattern.endswith("$")
    parts = pattern.rstrip("$").split("*")
    expression = ".*".join(re.escape(unquote(part)) for part in parts)
    return re.match(expression + ("$" if ended else ""), unquote(target)) is not None


def sitemap_locations(body: bytes) -> tuple[list[str], list[str]]:
    """The pages and the further sitemaps that a sitemap names; compressed ones are read too. Empty when it is none."""
    text = _unpacked(body).decode("utf-8", "replace")
    found = [html.unescape(location) for location in _LOCATION.findall(text)]
    return ([], found) if "<sitemapindex" in text else (found, [])


def _unpacked(body: bytes) -> bytes:
    if not body.startswith(b"\x1f\x8b"):
        return body
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as packed:
            return packed.read(MAXIMUM_SITEMAP_BYTES)
    except (OSError, EOFError):
        return b""


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        href = values.get("href")
        relation = (values.get("rel") or "").lower().split()
        if tag == "a" and href and "download" not in values and "nofollow" not in relation:
            self.found.append(href)


def links_of(page: str) -> list[str]:
    """Where the links of a page lead, but those that say that nobody should follow them."""
    parser = _Links()
    parser.feed(page)
    return parser.found


def targets_of(locations: Iterable[str], base: str, hosts: frozenset[str], robots: Robots) -> list[str]:
    """The paths (with query) of pages that may be asked for, each once, in their order.

    Args:
        locations: Addresses, absolute or relative to `base`.
        base: The address of the page that named them.
        hosts: The names of the site; what leads elsewhere is left out.
        robots: Its robots.txt.
    """
    targets: dict[str, None] = {}
    for location in locations:
        target = target_of(location, base, hosts)
        if target is not None and harmless(target) and robots.allows(target):
            targets[target] = None
    return list(targets)


def target_of(location: str, base: str, hosts: frozenset[str]) -> str | None:
    """The path and query of an address on the site; None when it leads elsewhere or is no address."""
    try:
        parts = urlsplit(urljoin(base, location.strip()))
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not ({host, f"{host}:{port}"} & hosts):
        return None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return target if target.isascii() and target.isprintable() and " " not in target else None


def harmless(target: str) -> bool:
    """Whether a path and its query look like a page to be read, not like something to be done."""
    parts = urlsplit(target)
    if _ACTS.search(unquote(target)):
        return False
    name = parts.path.rpartition("/")[2]
    _, dot, suffix = name.rpartition(".")
    return not dot or f".{suffix.lower()}" in _PAGE_SUFFIXES or not suffix.isalpha()
