# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of the keys of a project's files, from the tables that the check itself uses."""

from __future__ import annotations

from collections.abc import Callable

from pages.contracts import table
from trivet.project.keys import FILES
from trivet.project.stages import VARIABLES


def project_keys(file: str) -> str:
    """Every key of a file."""
    rows = [
        (f"`{'.'.join(filter(None, (group.path, key.name)))}`", key.what, str(key.use), key.refused)
        for group in FILES[file]
        for key in group.keys
    ]
    return table(("key", "what it is for", "what becomes of it", "an error"), rows)


def stage_variables() -> str:
    """Every variable of ``.magento.env.yaml``."""
    rows = [
        (
            f"`{name}`",
            variable.type,
            ", ".join(variable.stages),
            ", ".join(f"`{value}`" for value in variable.allowed if value)
            or (" to ".join(map(str, variable.between)) if variable.between else ""),
        )
        for name, variable in VARIABLES.items()
    ]
    return table(("variable", "type", "stages", "values"), rows)


BLOCKS: dict[str, Callable[..., str]] = {"project-keys": project_keys, "stage-variables": stage_variables}
