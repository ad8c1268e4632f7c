# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of any site: its pages by GET alone, found by its sitemap or by the links of its home page.

Safe in production: nothing is ever sent but GET, to the site itself, for pages that its robots.txt allows and that do
not look like something to be done (log out, check out, delete).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from urllib.parse import urlsplit

from trivet.probe.answers import text_of
from trivet.probe.contract import Contract, Exchange, Finding, NoteOrder, Session, find_first
from trivet.probe.contracts.site import Robots, links_of, robots_of, sitemap_locations, target_of, targets_of
from trivet.probe.failures import FailureKind, RequestFailed
from trivet.probe.http import Endpoint, Response, get_once
from trivet.probe.orders import Ledger, ListedOrder
from trivet.probe.report import Described

ACCEPT = {"Accept": "text/html,application/xhtml+xml"}
HOME = "/"
MAXIMUM_PAGES = 50
MAXIMUM_SITEMAPS = 5
LOOK_SECONDS = 15.0
"""In which pages are looked at before the load; those that were not by then are left out."""
HINT = "`--contract pages` asks a site whose home page answers with 200 and whose robots.txt does not forbid it."


class Site:
    """Makes the requests of all visitors of one run.

    Args:
        pages: Paths of pages, each with whether its HTML was seen to end.
        seed: Makes the order of requests repeatable.
    """

    def __init__(self, pages: dict[str, bool], seed: int) -> None:
        self.ledger = Ledger()
        self._pages = pages
        self._others = tuple(target for target in pages if target != HOME) or tuple(pages)
        self._random = random.Random(seed)

    @property
    def targets(self) -> int:
        """How many pages are asked for."""
        return len(self._pages)

    def new_session(self) -> Session:
        """A visitor who keeps cookies and nothing else."""
        return Session()

    def exchange(self, operation: str, session: Session, note_order: NoteOrder) -> Exchange:
        """A GET of the home page, or of one of the others."""
        target = HOME if operation == "home" and HOME in self._pages else self._random.choice(self._others)
        whole = self._pages[target]

        def accept(response: Response) -> None:
            text = text_of(response)
            if not text.strip():
                raise RequestFailed(FailureKind.BAD_BODY, f"{target} is empty")
            if whole and not _ends(text):
                raise RequestFailed(FailureKind.BAD_BODY, f"{target} is cut off: it has no </html>")

        return Exchange("home" if target == HOME else "page", "GET", target, accept, ACCEPT)

    async def listed(self, endpoint: Endpoint) -> list[ListedOrder]:
        """Nothing: who only reads leaves no order."""
        return []


async def find(finding: Finding) -> Site:
    """The site, with pages that answered with 200 just now.

    Raises:
        ProbeError: No URL has a page that may be asked for.
    """
    # The time for one URL is of a request; a site with many pages is looked at for longer.
    patient = Finding(finding.endpoints, finding.timeout + LOOK_SECONDS, finding.seed)
    pages = await find_first(patient, lambda endpoint: _pages(endpoint, finding.timeout), HINT)
    return Site(pages, finding.seed)


async def _pages(endpoint: Endpoint, timeout: float) -> dict[str, bool]:
    site = replace(endpoint, prefix="")  # robots.txt, sitemaps and links know nothing of a base URL with a path
    robots = await _robots(site, timeout)
    home = await get_once(endpoint, HOME, ACCEPT, timeout) if robots.allows(endpoint.prefix + HOME) else None
    hosts, base = _names(endpoint), f"{urlsplit(endpoint.url).scheme}://{endpoint.authority}{endpoint.prefix}/"
    named = await _of_sitemaps(site, robots, hosts, base, timeout)
    if not named and home is not None:
        named = targets_of(links_of(text_of(home)), base, hosts, robots)
    pages = {}
    if home is not None:
        pages[HOME] = _ends(text_of(home))
    below = [target.removeprefix(endpoint.prefix) for target in named if target.startswith(endpoint.prefix + "/")]
    await _look(endpoint, [target for target in _spread(below) if target != HOME], pages, timeout)
    if not pages:
        raise RequestFailed(FailureKind.BAD_BODY, "no page of it may be asked for")
    return pages


async def _robots(endpoint: Endpoint, timeout: float) -> Robots:
    response = await get_once(endpoint, "/robots.txt", {"Accept": "text/plain"}, timeout)
    if response.status >= 500:
        # RFC 9309: a site that cannot say what it allows allows nothing.
        raise RequestFailed(FailureKind.STATUS_5XX, f"status {response.status} for /robots.txt")
    return robots_of(response.body.decode("utf-8", "replace")) if response.status == 200 else Robots()


async def _of_sitemaps(
    endpoint: Endpoint, robots: Robots, hosts: frozenset[str], base: str, timeout: float
) -> list[str]:
    """The pages that the sitemaps name, as many sitemaps as are read."""
    waiting = list(robots.sitemaps) or ["/sitemap.xml"]
    read: set[str] = set()
    found: list[str] = []
    while waiting and len(read) < MAXIMUM_SITEMAPS:
        target = target_of(waiting.pop(0), base, hosts)
        if target is None or target in read:
            continue
        read.add(target)
        response = await get_once(endpoint, target, {"Accept": "application/xml,text/xml"}, timeout)
        if response.status == 200:
            pages, further = sitemap_locations(response.body)
            found += pages
            waiting += further
    return targets_of(found, base, hosts, robots)


async def _look(endpoint: Endpoint, targets: Sequence[str], pages: dict[str, bool], timeout: float) -> None:
    """Ask for each page once, one after the other, and keep those that answer with a page of HTML."""
    until = asyncio.get_running_loop().time() + LOOK_SECONDS
    for target in targets:
        if asyncio.get_running_loop().time() >= until:
            return
        try:
            async with asyncio.timeout_at(min(until, asyncio.get_running_loop().time() + timeout)):
                response = await get_once(endpoint, target, ACCEPT, timeout)
        except (RequestFailed, TimeoutError):
            continue
        if response.status == 200 and "html" in response.headers.get("content-type", "") and response.body.strip():
            pages[target] = _ends(text_of(response))


def _spread(targets: Sequence[str]) -> list[str]:
    """Not the first pages alone: a sitemap lists one kind after the other."""
    step = max(1, -(-len(targets) // MAXIMUM_PAGES))
    return list(targets[::step])


def _names(endpoint: Endpoint) -> frozenset[str]:
    """The names of the site: that of the Host header, and that of the URL, each with and without its port."""
    name = endpoint.authority.lower()
    url = urlsplit(endpoint.url)
    return frozenset({name, name.rpartition(":")[0] or name, (url.hostname or "").lower(), url.netloc.lower()})


def _ends(text: str) -> bool:
    return "</html>" in text[-4096:].lower()


PAGES = Contract(
    described=Described(name="pages", mix="pages, by GET alone", writes=(), orders=None),
    weights=MappingProxyType({"home": 20.0, "page": 80.0}),
    find=find,
)
