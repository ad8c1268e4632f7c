# SPDX-License-Identifier: GPL-3.0-or-later
"""Words and blocks as nginx reads them (``ngx_conf_read_token``)."""

from __future__ import annotations

from collections.abc import Iterable

from trivet.errors import InputError


def word(text: str) -> str:
    """A word in quotes in which only nginx's variables count: the caller has put them there, or there are none.

    Raises:
        InputError: it has a character that no configuration can hold.
    """
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise InputError(f"{text!r} has a control character, which no address, header or pattern of nginx may have")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def literal(text: str) -> str:
    """A word without any variable.

    Raises:
        InputError: it has a dollar, which nginx takes for a variable and knows no other way to write.
    """
    if "$" in text:
        raise InputError(f"`{text}` has a `$`, which nginx takes for a variable; leave it out")
    return word(text)


def block(head: str, lines: Iterable[str]) -> list[str]:
    """A block with its lines moved in."""
    return [f"{head} {{", *(f"    {line}" if line else line for line in lines), "}"]
