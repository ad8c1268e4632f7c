# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the repositories of composer.json for their index before a build, so that a wrong key is told as one.

Composer itself tells of a refused package only, which may lie in a cache on one machine and not on another. What
credentials look like is composer's documentation, articles/authentication-for-private-packages.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from trivet.build.recipe import uses_composer
from trivet.build.work import Work
from trivet.errors import BuildError

AUTH_FILE, AUTH_VARIABLE = "auth.json", "COMPOSER_AUTH"
ASK_SECONDS = 20
REFUSED = (401, 403)


@dataclass(frozen=True)
class Credential:
    """What a host is shown.

    Attributes:
        source: Where it stands.
        option: A line of curl's configuration.
    """

    source: str
    option: str


def check_credentials(work: Work, environment: Mapping[str, str]) -> None:
    """Ask each repository once.

    Args:
        work: The build.
        environment: Its environment.

    Raises:
        BuildError: One refuses or is not reached; names every one of them.
    """
    if not work.settings.network or not uses_composer(work.application):
        return
    sources = {AUTH_FILE: work.text_of(AUTH_FILE), AUTH_VARIABLE: environment.get(AUTH_VARIABLE, "")}
    known = credentials(sources)
    problems = [_problem(work, url, known) for url in repositories(work.text_of("composer.json"))]
    told = [problem for problem in problems if problem]
    if told:
        raise BuildError(f"composer.json: {'; '.join(told)}. Aborted build.")


def repositories(text: str) -> tuple[str, ...]:
    """Addresses of the repositories of packages that a composer.json names.

    Raises:
        BuildError: It is no JSON.
    """
    named = _json("composer.json", text).get("repositories", [])
    entries = named.values() if isinstance(named, dict) else named
    urls = [
        str(entry["url"])
        for entry in entries
        if isinstance(entry, dict) and entry.get("type") == "composer" and "url" in entry
    ]
    return tuple(url.rstrip("/") for url in urls if url.startswith(("http://", "https://")))


def credentials(sources: Mapping[str, str]) -> dict[str, Credential]:
    """What each host is shown, by its name; a later source wins.

    Args:
        sources: JSON of composer by where it stands; empty for one that is not there.

    Raises:
        BuildError: One is no JSON.
    """
    known: dict[str, Credential] = {}
    for source, text in sources.items():
        for host, option in _options(_json(source, text)):
            known[host] = Credential(source, option)
    return known


def _options(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for host, pair in _table(given, "http-basic"):
        if isinstance(pair, dict):
            yield host, _option("user", f"{pair.get('username', '')}:{pair.get('password', '')}")
    for host, token in _table(given, "bearer"):
        yield host, _option("header", f"Authorization: Bearer {token}")
    for host, token in _table(given, "gitlab-token"):
        yield host, _option("header", f"PRIVATE-TOKEN: {token['token'] if isinstance(token, dict) else token}")


def _table(given: Mapping[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    table = given.get(name)
    if isinstance(table, dict):
        yield from table.items()


def _option(name: str, value: str) -> str:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name} = "{quoted}"\n'


def _json(source: str, text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BuildError(f"{source} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise BuildError(f"{source} is no JSON object")
    return value


def _problem(work: Work, url: str, known: Mapping[str, Credential]) -> str:
    """Why a repository does not give its index; empty when it does."""
    host = urlsplit(url).netloc.rpartition("@")[2]
    credential = known.get(host)
    # On the standard input, since others of the builder could read an argument.
    asked = work.asked(
        [
            *("curl", "--silent", "--show-error", "--location", "--output", "/dev/null", "--config", "-"),
            *("--max-time", str(ASK_SECONDS), "--write-out", "%{http_code}", f"{url}/packages.json"),
        ],
        credential.option if credential is not None else "",
    )
    if asked.returncode != 0:
        said = asked.stderr.strip().splitlines()[-1:] or [f"curl ended with {asked.returncode}"]
        return f"the repository {url} cannot be reached from the builder ({said[0]})"
    status = int(asked.stdout)
    if status in REFUSED and credential is None:
        return (
            f"the repository {url} wants credentials ({status}), and neither {AUTH_FILE} nor {AUTH_VARIABLE} has any"
            f" for {host}"
        )
    if status in REFUSED and credential is not None:
        return f"the repository {url} refused the credentials that {credential.source} has for {host} ({status})"
    if status >= 400:
        return f"the repository {url} gave no packages.json ({status})"
    return ""
