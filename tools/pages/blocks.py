# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks in pages that are written by hand: what stands between two marks is written by bin/docs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Block = Callable[..., str]
"""Takes the words after its name in the mark, and gives the text between the marks."""
MARK = re.compile(r"<!-- bin/docs: (?P<words>[^>]+?) -->(?P<text>.*?)<!-- end -->", re.DOTALL)


class UnknownBlock(ValueError):
    """A mark names a block that nobody makes, or gives it arguments that it does not take."""


def filled(text: str, path: str, makers: Mapping[str, Block]) -> str:
    """A page with every block as it should be.

    Args:
        text: the page as it is.
        path: its path, for messages.
        makers: who makes the block of a name.

    Raises:
        UnknownBlock: a mark that nobody can fill.
    """

    def fill(mark: re.Match[str]) -> str:
        name, *arguments = mark["words"].split()
        try:
            made = makers[name](*arguments)
        except (KeyError, TypeError, ValueError, LookupError) as error:
            raise UnknownBlock(f"{path}: {mark['words']}: {error!r}") from error
        # A table stands alone, a figure stands in its sentence.
        between = f"\n{made.strip()}\n" if "\n" in made.strip() else made
        return f"<!-- bin/docs: {mark['words']} -->{between}<!-- end -->"

    return MARK.sub(fill, text)
