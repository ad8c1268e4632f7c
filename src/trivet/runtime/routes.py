# SPDX-License-Identifier: GPL-3.0-or-later
"""``routes.yaml`` as directives of nginx, and as what a proxy has to know.

Rules [Platform.sh, define-routes/redirects.md; Adobe's guide, routes/redirects.md]: the most exact host wins, then the
longest path. A redirect of a whole route answers 301 and keeps path and query. One of a path answers 302 unless it says
otherwise, and keeps the query where it keeps the path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from trivet.project.check import Project
from trivet.project.patterns import filled, pattern
from trivet.project.routes import PathRedirect, Route, resolved
from trivet.runtime.directives import block, literal, word

_URL = re.compile(r"(?P<scheme>https?)://(?P<host>[^/]+)(?P<path>/.*)?")


@dataclass(frozen=True)
class Upstream:
    """Which application answers for a part of a site.

    Attributes:
        host: name, or ``*.`` and a name.
        path: that begins the paths of this part; ends with a slash, or is one path and what lies below it.
        application: name.
    """

    host: str
    path: str
    application: str


def concrete(project: Project, domains: Sequence[str], environment: str) -> tuple[Route, ...]:
    """The routes of a project with the environment's domains in them.

    Args:
        project: as checked, with or without domains.
        domains: host names of the environment, the main one first.
        environment: its name.
    """
    if not any("{" in route.url for route in project.routes):
        return project.routes
    return tuple(resolved(project.routes, domains, environment))


def host_names(routes: Iterable[Route]) -> tuple[str, ...]:
    """Every host of the routes, which HAProxy answers for and a certificate covers; wildcards last."""
    found = {_part(route.url, "host") for route in routes}
    return tuple(sorted(found, key=lambda host: (host.startswith("*"), host)))


def upstreams(routes: Iterable[Route]) -> tuple[Upstream, ...]:
    """Who answers for which part of which host; the first that fits counts."""
    found = {
        Upstream(_part(route.url, "host"), _part(route.url, "path"), route.upstream)
        for route in routes
        if route.type == "upstream"
    }
    return tuple(sorted(found, key=lambda item: _order(item.host, item.path)))


def redirects(routes: Sequence[Route], domains: Sequence[str]) -> str:
    """The redirects of the routes, to stand inside of a ``server`` block.

    A request is redirected only when HAProxy says by which scheme it came (``X-Forwarded-Proto``): health checks and
    the node itself get the page.

    Args:
        routes: with the environment's domains in them.
        domains: for ``{default}`` in a redirect's target; none where no target has it.

    Raises:
        InputError: a target cannot be written for nginx.
    """
    ordered = sorted(routes, key=lambda route: _order(_part(route.url, "host"), _part(route.url, "path")))
    while ordered and not _redirecting(ordered[-1]):
        ordered.pop()
    if not ordered:
        return ""
    made = _Redirects(domains)
    lines = ['set $trivet_url "$http_x_forwarded_proto://$host$request_uri";']
    for route in ordered:
        lines += made.of(route)
    return "\n".join([*lines, *made.locations, ""])


def _redirecting(route: Route) -> bool:
    return route.type == "redirect" or bool(route.redirects)


class _Redirects:
    def __init__(self, domains: Sequence[str]) -> None:
        self._default = domains[0] if domains else "{default}"
        self._names: dict[tuple[int, str], str] = {}
        self.locations: list[str] = []

    def of(self, route: Route) -> list[str]:
        start = _start(route.url)
        below = _part(route.url, "path").rstrip("/")
        if route.type == "redirect":
            test = rf"(?s)^{start}{re.escape(below)}(?<trivet_rest>(?:[/?].*)?)\z"
            return self._line("$trivet_url", test, f"{_slashless(self._to(route.to))}$trivet_rest", 301, "")
        exact = sorted(
            (item for item in route.redirects if not item.regexp), key=lambda item: (item.prefix, -len(item.path))
        )
        regular = [item for item in route.redirects if item.regexp]
        lines = [line for item in (*exact, *regular) for line in self._of_path(start, item)]
        # This route answers, and none that is less exact. `break` would end the whole server's `set`, too.
        mine = rf"^{start}{re.escape(below)}(?:[/?]|\z)"
        return [*lines, f'if ($trivet_url ~ {word(mine)}) {{ set $trivet_url ""; }}']

    def _of_path(self, start: str, item: PathRedirect) -> list[str]:
        to = self._to(item.to)
        if item.regexp:
            made = pattern(_ascii(item.path), numbered=True)
            # The path as it was sent: a decoded one could bring line breaks into the answer's header.
            here = word(f"^{start}(?<trivet_sent>[^?]*)")
            lines = ['set $trivet_path "";', f"if ($trivet_url ~ {here}) {{ set $trivet_path $trivet_sent; }}"]
            target = f"{filled(to, made.variables)}$is_args$args"
            test = rf"(?!\A\z)(?:{made.text})"
            return [*lines, *self._line("$trivet_path", test, target, item.code, item.expires)]
        path = re.escape(_ascii(item.path.rstrip("/") if item.prefix else item.path))
        if not item.prefix:
            test = rf"^{start}{path}(?<trivet_rest>(?:\?.*)?)\z"
            rest = "$trivet_rest" if item.append_suffix else ""
            return self._line("$trivet_url", test, f"{_checked(to)}{rest}", item.code, item.expires)
        test = rf"^{start}{path}(?<trivet_rest>(?:[/?].*)?)\z"
        target = f"{_slashless(to)}$trivet_rest" if item.append_suffix else _checked(to)
        return self._line("$trivet_url", test, target, item.code, item.expires)

    def _to(self, to: str) -> str:
        return _ascii(to.replace("{default}", self._default))

    def _line(self, variable: str, test: str, to: str, code: int, expires: str) -> list[str]:
        name = self._location(code, "off" if expires in ("", "-1") else expires)
        return [f"if ({variable} ~ {word(test)}) {{ set $trivet_to {word(to)}; rewrite ^ {name} last; }}"]

    def _location(self, code: int, expires: str) -> str:
        """Where the answer is made: only a location can say how long it may be kept."""
        key = (code, expires)
        if key not in self._names:
            self._names[key] = f"/trivet-redirect-{code}-{expires}"
            lines = ["internal;", "absolute_redirect off;", f"expires {expires};", f"return {code} $trivet_to;"]
            self.locations += block(f"location = {self._names[key]}", lines)
        return self._names[key]


def _checked(to: str) -> str:
    return literal(to) and to


def _slashless(to: str) -> str:
    return _checked(to).removesuffix("/")


def _ascii(text: str) -> str:
    """As a browser sends it."""
    return "".join(character if character.isascii() else quote(character) for character in text)


def _start(url: str) -> str:
    """The pattern of a route's scheme and host."""
    host = re.escape(_part(url, "host"))
    return f"{_part(url, 'scheme')}://{host.replace(chr(92) + '*', '[^/]+')}"


def _part(url: str, name: str) -> str:
    match = _URL.fullmatch(url)
    return (match[name] if match is not None else "") or "/"


def _order(host: str, path: str) -> tuple[bool, int, int, str]:
    return host.startswith("*"), -len(host), -len(path), f"{host}{path}"
