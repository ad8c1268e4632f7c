# SPDX-License-Identifier: GPL-3.0-or-later
"""``web.locations`` as values with the platform's defaults, and the areas of the URL space that they make.

Rules [Platform.sh, create-apps/image-properties/web.md; Adobe's guide, web-property.md]: the most specific prefix wins,
and it ends at a slash; ``root`` takes the place of the prefix; a rule is matched against the whole path, the first one
that matches counts, and overrides what it names.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from trivet.project.application import Application
from trivet.project.patterns import Pattern, filled, pattern
from trivet.runtime.places import Places, mount_of
from trivet.services.application.contract import BUILT


@dataclass(frozen=True)
class Answers:
    """How a request is answered.

    Attributes:
        passthru: what answers for a file that is missing or not allowed: a path (nginx's variables in it), True for
            the application itself, False for nothing.
        index: files that answer for a folder; the first that is there.
        expires: as nginx writes it; ``off`` for none.
        scripts: whether PHP files run.
        allow: whether files are sent.
        headers: of static answers.
        buffered: whether a request is read to its end before it is handed on; None for nginx's default.
        largest_request: as nginx writes it; empty for nginx's own.
    """

    passthru: str | bool = False
    index: tuple[str, ...] = ()
    expires: str = "off"
    scripts: bool = True
    allow: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    buffered: bool | None = None
    largest_request: str = ""


@dataclass(frozen=True)
class Rule:
    """Answers for the paths that match."""

    pattern: Pattern
    answers: Answers


@dataclass(frozen=True)
class Area:
    """A part of the URL space whose files lie in one folder of the host.

    Attributes:
        prefix: of its paths, without a slash at its end.
        itself: whether the prefix without anything after it belongs to it.
        folder: of the host; None when nothing is static.
        built: second folder of the host to look in, for what a build keeps for a mount; None when there is none.
        path: the same folder within the application's own namespace.
        document_root: what PHP gets as such: the root of the location that it belongs to.
    """

    prefix: str
    itself: bool
    folder: str | None
    built: str | None
    path: str
    document_root: str
    answers: Answers
    rules: tuple[Rule, ...]


def areas(application: Application, places: Places) -> tuple[Area, ...]:
    """All of an application, the longest prefix first. A mount below a location's root is an area of its own.

    Raises:
        InputError: a root leads out of the application.
    """
    found = [area for key in application.locations for area in _of_location(application, places, key)]
    return tuple(sorted(found, key=lambda area: (len(area.prefix), not area.itself), reverse=True))


def target(found: tuple[Area, ...], path: str) -> Area | None:
    """The area that a path belongs to."""
    for area in found:
        if path.startswith(f"{area.prefix}/") or (area.itself and path == area.prefix):
            return area
    return None


def _of_location(application: Application, places: Places, key: str) -> Iterator[Area]:
    given = application.locations[key]
    prefix = key.rstrip("/")
    itself = prefix == key
    answers = _answers(given, Answers(), {})
    rules = tuple(_rule(written, rule, answers) for written, rule in given.get("rules", {}).items())
    root = given.get("root")
    if root is None:
        yield Area(prefix, itself, None, None, places.home, places.home, answers, rules)
        return
    root = posixpath.normpath(str(root).strip("/") or ".")
    document_root = _joined(places.home, root)
    yield _area(application, places, root, prefix, itself, document_root, answers, rules)
    for mount in application.mounts:
        inner = posixpath.relpath(mount.path, root)
        below = f"{prefix}/{inner}"
        if inner.split("/")[0] not in (".", "..") and _owner(application, below) == key:
            yield _area(application, places, mount.path, below, True, document_root, answers, rules)


def _area(
    application: Application,
    places: Places,
    path: str,
    prefix: str,
    itself: bool,
    document_root: str,
    answers: Answers,
    rules: tuple[Rule, ...],
) -> Area:
    folder = places.on_host(application, path)
    built = _joined(places.release, f"{BUILT}/{path}") if mount_of(application, path) is not None else None
    return Area(prefix, itself, folder, built, _joined(places.home, path), document_root, answers, rules)


def _owner(application: Application, path: str) -> str:
    """The location that a path belongs to; for that of a location itself, that one."""
    around = [key for key in application.locations if f"{path}/".startswith(f"{key.rstrip('/')}/")]
    return max(around, key=len, default="")


def _joined(folder: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(folder, path))


def _rule(written: str, given: Mapping[str, Any], base: Answers) -> Rule:
    passthru = given.get("passthru")
    made = pattern(written, numbered=isinstance(passthru, str) and "$" in passthru)
    return Rule(made, _answers(given, base, made.variables))


def _answers(given: Mapping[str, Any], base: Answers, variables: Mapping[str, str]) -> Answers:
    """What is given, over what holds without it."""
    passthru = given.get("passthru", base.passthru)
    if isinstance(given.get("passthru"), str):
        passthru = filled(given["passthru"], variables)
    buffering = given.get("request_buffering") or {}
    return Answers(
        passthru=passthru,
        index=tuple(str(name) for name in given.get("index") or base.index),
        expires=_expires(given["expires"]) if "expires" in given else base.expires,
        scripts=bool(given.get("scripts", base.scripts)),
        allow=bool(given.get("allow", base.allow)),
        headers={name: str(value) for name, value in (given.get("headers") or base.headers).items()},
        buffered=buffering.get("enabled", base.buffered),
        largest_request=str(buffering.get("max_request_size", base.largest_request)),
    )


def _expires(written: Any) -> str:
    """As nginx writes it, which knows no milliseconds here."""
    text = str(written)
    if text.endswith("ms"):
        return f"{int(text[:-2]) // 1000}s"
    return "off" if text == "-1" else text
