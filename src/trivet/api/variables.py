# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables that an environment's application gets: read, set, deleted."""

from __future__ import annotations

from trivet.ansible.variables import (
    SENSITIVE,
    delete_variable,
    given,
    set_variable,
    variables_file,
    variables_of,
)
from trivet.model import Environment

__all__ = ["delete_variable", "sensitive_names", "set_variable", "variables_file", "variables_of"]


def sensitive_names(environment: Environment) -> frozenset[str]:
    """Names of those whose values are in the vault.

    :raises InputError: they are no dictionary of plain values.
    """
    return frozenset(given(environment, SENSITIVE))
