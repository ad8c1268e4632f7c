# SPDX-License-Identifier: GPL-3.0-or-later
"""``.trivet.yaml``: what Trivet alone wants to know of an application. Optional; the platform does not read it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trivet.project.findings import Report, near
from trivet.project.keys import OWN, OWN_APPLICATION
from trivet.project.reader import Table
from trivet.project.section import Section

FILE = ".trivet.yaml"
HOLDS = ("auto", "always", "never")


@dataclass(frozen=True)
class Own:
    """What a project says of one application to Trivet.

    Attributes:
        health_page: path that a node must answer with 200 to get requests.
        warm_up: pages that are asked before a release gets traffic.
        hold: whether requests wait while a release is switched: ``auto`` (ask Magento; for another application
            ``always``), ``always``, ``never``, or a command that exits 0 for no and 2 for yes.
    """

    health_page: str = "/health_check.php"
    warm_up: tuple[str, ...] = ("/",)
    hold: str = "auto"

    @property
    def hold_command(self) -> str | None:
        """The command that decides; None where a word does."""
        return None if self.hold in HOLDS else self.hold

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {**asdict(self), "warm_up": list(self.warm_up)}


def read_own(table: Table | None, applications: Sequence[str], report: Report) -> dict[str, Own]:
    """What is said of each application, defaults filled in; what is wrong is told.

    Args:
        table: the file's content; None when there is none.
        applications: names of the project's applications.
        report: takes what is wrong.
    """
    found = {name: Own() for name in applications}
    if table is None:
        return found
    top = Section(table, FILE, (), report)
    top.only(OWN)
    said = top.section("applications")
    for pair in said:
        if pair.key not in found:
            said.error(pair.key, f"there is no application `{pair.key}`{near(pair.key, applications)}")
            continue
        found[pair.key] = _own(said.section(pair.key))
    return found


def _own(section: Section) -> Own:
    section.only(OWN_APPLICATION)
    own = Own(
        health_page=section.text("health_page", Own.health_page),
        warm_up=section.texts("warm_up", Own.warm_up),
        hold=section.text("hold", Own.hold),
    )
    if not own.health_page.startswith("/"):
        section.error("health_page", f"`{own.health_page}` is no path: it begins with a slash")
    for page in own.warm_up:
        if not page.startswith("/"):
            section.error("warm_up", f"`{page}` is no path: it begins with a slash")
    if (wrong := _wrong_hold(own.hold)) is not None:
        section.error("hold", wrong)
    return own


def _wrong_hold(hold: str) -> str | None:
    """What is wrong with it; one word that is near a known one is a slip and no command."""
    if hold in HOLDS:
        return None
    try:
        words = shlex.split(hold)
    except ValueError as problem:
        return f"cannot be read as a command: {problem}"
    if not words:
        return f"is empty; one of {', '.join(HOLDS)}, or a command"
    hint = near(hold, HOLDS) if len(words) == 1 else ""
    return f"`{hold}` is none of {', '.join(HOLDS)}{hint}" if hint else None
