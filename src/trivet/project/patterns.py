# SPDX-License-Identifier: GPL-3.0-or-later
"""Regular expressions of the files, which are PCRE: their groups, and the text that takes a group's match.

Python's ``re`` reads another language (``(?P<x>…)``), so a pattern is never compiled here. nginx does that, and makes a
variable of each named group.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "t_"
"""Stands before the name of a group in nginx, where a group called ``uri`` would collide with the variable."""
_TOKEN = re.compile(
    r"\\k[<{'](?P<back>\w+)[>}']"
    r"|\\Q.*?(?:\\E|\Z)"
    r"|\\.|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]"
    r"|\(\?(?P<p>P?)<(?P<name>[A-Za-z_]\w*)>|\(\?'(?P<quoted>[A-Za-z_]\w*)'"
    r"|\(\?P(?P<sign>[=>])(?P<again>\w+)\)|\(\?&(?P<call>\w+)\)"
    r"|(?P<open>\((?![?*]))",
    re.DOTALL,
)
_REFERENCE = re.compile(r"\$(?:\{(?P<braced>\w+)\}|(?P<number>\d)|(?P<name>\w+))|\$")


@dataclass(frozen=True)
class Pattern:
    """A regular expression for nginx.

    Attributes:
        text: the pattern with its named groups renamed.
        variables: nginx's variable (without the dollar) of each group, by its name and by its number.
    """

    text: str
    variables: Mapping[str, str]


def pattern(written: str, *, numbered: bool = False) -> Pattern:
    """The pattern as nginx gets it.

    Args:
        written: as it stands in the file.
        numbered: give groups without a name one too, since nginx forgets ``$1`` at the next match.
    """
    variables: dict[str, str] = {}
    count = 0

    def replaced(match: re.Match[str]) -> str:
        nonlocal count
        if (other := match["back"] or match["again"] or match["call"]) is not None:
            return match[0] if other.isdigit() else match[0].replace(other, PREFIX + other)
        name = match["name"] or match["quoted"]
        if name is None and match["open"] is None:
            return match[0]
        count += 1
        if name is None and not numbered:
            return match[0]
        variable = PREFIX + (name or str(count))
        variables[str(count)] = variable
        if name is not None:
            variables[name] = variable
        return f"(?<{variable}>"

    return Pattern(_TOKEN.sub(replaced, written), variables)


def references(text: str) -> tuple[str, ...]:
    """The names and numbers of the groups that a text takes, as ``/static/$resource`` does; ``$`` for a lone dollar."""
    return tuple(match["braced"] or match["number"] or match["name"] or "$" for match in _REFERENCE.finditer(text))


def unknown(text: str, written: str | None) -> tuple[str, ...]:
    """What a text takes that is no group of the pattern.

    Args:
        text: with ``$name`` or ``$1``.
        written: the pattern; None where there is none.
    """
    known = pattern(written, numbered=True).variables if written is not None else {}
    return tuple(name for name in references(text) if name not in known)


def filled(text: str, variables: Mapping[str, str]) -> str:
    """A text with nginx's variables in the place of the groups.

    Raises:
        KeyError: it takes what is no group; :func:`unknown` tells that before.
    """
    return _REFERENCE.sub(
        lambda match: f"${{{variables[match['braced'] or match['number'] or match['name'] or '$']}}}", text
    )
