# SPDX-License-Identifier: GPL-3.0-or-later
"""The application of an environment: what Trivet itself has to know of ``trivet_application``.

The roles read the same dictionary; docs/reference/application.md has every key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trivet.errors import InputError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class Application:
    """An application.

    Args:
        name: Its name.
        health_page: The path that a node must answer with 200 to get requests.
        secrets: Names of the secrets that it needs in ``trivet_secrets``.
        probe: The contract that the probe keeps to; None where it names none.
    """

    name: str
    health_page: str
    secrets: tuple[str, ...] = ()
    probe: str | None = None

    @classmethod
    def from_variables(cls, variables: Mapping[str, Any], where: str) -> Application | None:
        """The application that an inventory describes; None when it describes none.

        Args:
            variables: The variables of a node.
            where: The inventory, for messages.

        Raises:
            InputError: A key is missing or does not fit; names it.
        """
        found = variables.get("trivet_application")
        if found is None:
            return None
        if not isinstance(found, Mapping):
            raise InputError(f"{where}: trivet_application is no dictionary of plain values")
        secrets = found.get("secrets") or []
        if not isinstance(secrets, list) or not all(_NAME.fullmatch(str(name)) for name in secrets):
            raise InputError(f"{where}: trivet_application.secrets takes a list of simple names")
        health_page = str(found.get("health_page") or "")
        if not health_page.startswith("/"):
            raise InputError(f"{where}: trivet_application.health_page is {health_page!r}; it takes a path")
        if not found.get("name"):
            raise InputError(f"{where}: trivet_application.name is not set")
        probe = found.get("probe")
        return cls(str(found["name"]), health_page, tuple(map(str, secrets)), str(probe) if probe else None)
