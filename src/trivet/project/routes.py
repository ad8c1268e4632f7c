# SPDX-License-Identifier: GPL-3.0-or-later
"""``routes.yaml``: which URL is answered by what (Adobe's guide, routes/*.md; Platform.sh's documentation)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from trivet.project import keys
from trivet.project.application import EXPIRES, Application
from trivet.project.findings import Report, near
from trivet.project.patterns import unknown
from trivet.project.reader import Table, plain
from trivet.project.section import Section

TYPES = ("upstream", "redirect")
CODES = (301, 302, 307, 308)
DEFAULT_URL = "https://{default}/"
PRODUCTION = ("production", "master", "main")
_URL = re.compile(r"(?P<scheme>https?)://(?P<host>[^/]+)(?P<path>/.*)?")


@dataclass(frozen=True)
class PathRedirect:
    """A redirect of a path within a route.

    Attributes:
        prefix: whether deeper paths are redirected too; a prefix ends at a slash.
        append_suffix: whether what follows the prefix is kept.
        expires: how long the answer may be kept, as written here or for all redirects of the route; else empty.
    """

    path: str
    to: str
    regexp: bool
    prefix: bool
    append_suffix: bool
    code: int
    expires: str
    line: int


@dataclass(frozen=True)
class Route:
    """One route.

    Attributes:
        url: with the domain of the environment; as written where that is not known.
        original_url: as written.
        type: ``upstream`` or ``redirect``.
        upstream: name of the application; empty for a redirect.
        to: target of a redirect; empty for an upstream.
        line: where it stands; 0 when it follows from others.
    """

    url: str
    original_url: str
    type: str
    upstream: str = ""
    to: str = ""
    primary: bool = False
    id: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    cache: dict[str, Any] = field(default_factory=dict)
    redirects: tuple[PathRedirect, ...] = ()
    line: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        data = asdict(self)
        for item in (data, *data["redirects"]):
            del item["line"]
        return data


def read_routes(table: Table | None, file: str, applications: Sequence[Application], report: Report) -> list[Route]:
    """The routes as written; what is wrong with them is told.

    Args:
        table: the file's content; None when it says nothing.
        file: its path within the project.
        applications: those that a route may lead to.
        report: takes what is wrong.

    Returns:
        Without a route in the file the platform's default: https to the only application.
    """
    if table is None or not table.pairs:
        message = f"no routes are given; {DEFAULT_URL} is served by the only application, and http redirects to it"
        report.warning(file, 0, "", message)
        return [Route(DEFAULT_URL, DEFAULT_URL, "upstream", applications[0].name)] if applications else []
    top = Section(table, file, (), report)
    routes = [route for pair in top if (route := _route(top, pair.key, applications)) is not None]
    if routes and not any(route.type == "upstream" for route in routes):
        report.error(file, routes[0].line, "", "every route is a redirect; at least one needs `type: upstream`")
    _check_primary(top, routes)
    _check_hops(file, routes, report)
    return routes


def _route(top: Section, key: str, applications: Sequence[Application]) -> Route | None:
    match = _URL.fullmatch(key)
    if match is None:
        top.error(key, "a route begins with http:// or https://, as `https://{default}/`")
        return None
    section = top.section(key)
    section.only(keys.ROUTE)
    kind = section.text("type")
    if kind not in TYPES:
        section.error("type", f"`{kind}` is no type of route; upstream or redirect{near(kind, TYPES)}")
        return None
    if "*" in match["host"]:
        top.note(key, "a wildcard needs a certificate that covers it")
    upstream = to = ""
    if kind == "upstream":
        upstream = _upstream(section, applications)
    elif not (to := section.text("to")):
        section.error("to", "a redirect needs `to`, the URL that it leads to")
    return Route(
        url=key,
        original_url=key if match["path"] else f"{key}/",
        type=kind,
        upstream=upstream,
        to=to,
        primary=section.truth("primary", False),
        id=section.text("id") or None,
        attributes=plain(section.section("attributes").table),
        cache=plain(section.section("cache").table),
        redirects=_redirects(section.section("redirects")),
        line=section.line(),
    )


def _upstream(section: Section, applications: Sequence[Application]) -> str:
    name, _, endpoint = section.text("upstream").partition(":")
    known = [application.name for application in applications]
    if not name:
        section.error("upstream", "`upstream` is missing; write for instance `upstream: 'mymagento:http'`")
    elif known and name not in known:
        section.error("upstream", f"there is no application `{name}`{near(name, known)}")
    elif endpoint not in ("", "http", "php"):
        section.error("upstream", f"an application has the endpoint `http`, not `{endpoint}`")
    return name


def _redirects(section: Section) -> tuple[PathRedirect, ...]:
    section.only(keys.REDIRECTS)
    _check_expires(section)
    paths = section.section("paths")
    found = []
    for pair in paths:
        entry = paths.section(pair.key)
        entry.only(keys.REDIRECT)
        _check_expires(entry)
        regexp = entry.truth("regexp", False)
        code = entry.number("code", 302) or 302
        if code not in CODES:
            entry.error("code", f"{code} is no redirect; one of {', '.join(str(item) for item in CODES)}")
        if not entry.has("to"):
            paths.error(pair.key, "a redirect needs `to`")
        for name in unknown(entry.text("to"), pair.key if regexp else None):
            entry.error("to", f"`${name.removeprefix('$')}` is no group of the path's expression")
        if not regexp and not pair.key.startswith("/"):
            paths.error(pair.key, "a path begins with a slash")
        found.append(
            PathRedirect(
                path=pair.key,
                to=entry.text("to"),
                regexp=regexp,
                prefix=not regexp and entry.truth("prefix", True),
                append_suffix=not regexp and entry.truth("append_suffix", True),
                code=code,
                expires=entry.text("expires", section.text("expires")),
                line=pair.line,
            )
        )
    return tuple(found)


def _check_expires(section: Section) -> None:
    expires = section.text("expires")
    if expires and not EXPIRES.fullmatch(expires):
        section.error("expires", f"`{expires}` is no duration; write -1, or a number with ms, s, m, h, d, w, M or y")


def _check_primary(top: Section, routes: Sequence[Route]) -> None:
    primary = [route for route in routes if route.primary]
    for route in primary[1:]:
        top.error(route.url, f"only one route is primary, and `{primary[0].url}` is")


def _check_hops(file: str, routes: Sequence[Route], report: Report) -> None:
    """Tell redirects that lead to another redirect, and those that lead back to themselves."""
    for route in routes:
        for redirect in route.redirects:
            nexts = [other for other in routes if other.type == "redirect" and _host(other.url) == _host(redirect.to)]
            for other in nexts:
                key = ".".join((route.url, "redirects", "paths", redirect.path))
                target = f"`{redirect.path}` points to {_host(redirect.to)}, which redirects to {other.to}"
                if _leads_back(route, redirect, other):
                    report.error(file, redirect.line, key, f"{target}: a loop")
                else:
                    report.warning(file, redirect.line, key, f"{target}: two hops")
        if route.type == "redirect" and _slashed(route.to) == _slashed(route.url):
            report.error(file, route.line, route.url, "this redirect leads to itself")


def _leads_back(route: Route, redirect: PathRedirect, other: Route) -> bool:
    """Whether the second hop ends in the path that was redirected; a prefix ends at a slash."""
    if redirect.regexp or _host(other.to) != _host(route.url):
        return False
    path = _path(other.to)
    return path == redirect.path or (redirect.prefix and path.startswith(redirect.path.rstrip("/") + "/"))


def _host(url: str) -> str:
    match = _URL.match(url)
    return match["host"] if match is not None else ""


def _path(url: str) -> str:
    match = _URL.match(url)
    return (match["path"] if match is not None else url) or "/"


def _slashed(url: str) -> str:
    return url if _path(url) != "/" or url.endswith("/") else f"{url}/"


def resolved(routes: Sequence[Route], domains: Sequence[str], environment: str) -> list[Route]:
    """The routes with the environment's domains, and those of the scheme that is not given.

    Args:
        routes: as written.
        domains: host names of the environment, the main one first; none leaves ``{default}`` and ``{all}`` as they are.
        environment: its name; outside of production an absolute domain becomes one below the environment's own.

    Only http is given: https is served, too. Only https is given: http redirects to it.
    """
    concrete: dict[str, Route] = {}
    for route in sorted(routes, key=lambda item: "{default}" in item.url):
        # `{default}` comes last, so that it wins where `{all}` gives the same URL.
        for url in _urls(route.original_url, domains, environment):
            concrete[url] = replace(route, url=url, to=_target(route.to, domains))
    for url, route in list(concrete.items()):
        scheme, rest = url.split("://", 1)
        other = f"{'http' if scheme == 'https' else 'https'}://{rest}"
        if other in concrete:
            continue
        if scheme == "http":
            concrete[other] = replace(route, url=other, primary=False, line=0)
        else:
            original = route.original_url.replace("https://", "http://", 1)
            concrete[other] = Route(other, original, "redirect", to=url)
    return sorted(concrete.values(), key=lambda item: (item.url.split("://")[1], item.url))


def _urls(url: str, domains: Sequence[str], environment: str) -> list[str]:
    if not domains:
        return [url]
    if "{all}" in url:
        return [url.replace("{all}", domain) for domain in domains]
    if "{default}" in url:
        return [url.replace("{default}", domains[0])]
    if environment in PRODUCTION:
        return [url]
    host = _host(url)
    return [url.replace(host, f"{host}.{domains[0]}", 1)]


def _target(to: str, domains: Sequence[str]) -> str:
    return to.replace("{default}", domains[0]) if domains else to
